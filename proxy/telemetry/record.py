"""The TrafficRecord: what is left of a request afterwards, one per request with one terminal state."""

import msgspec

# How a request ended. `ok` is any answer of the upstream; `rejected` is an answer that the gateway made
# (a policy, no route, a malformed request); `shed` is a refusal for want of capacity.
STATES = ("ok", "rejected", "client_abort", "upstream_error", "timeout", "shed", "killed")
OK, REJECTED, CLIENT_ABORT, UPSTREAM_ERROR, TIMEOUT, SHED, KILLED = range(7)


class TrafficRecord(msgspec.Struct, array_like=True):
    """One request, as the spool holds it.

    `time` is Unix seconds at arrival, durations are microseconds (`upstream_us`: from the last byte sent
    to the first byte back), sizes are body bytes, `status` is 0 if no answer was sent, `state` indexes
    `STATES`. Text is already safe to store: names from configuration, the path percent-encoded as it was
    forwarded, cut at 1,024 bytes, without its query.
    """

    time: float
    request_id: str
    state: int
    method: str
    host: str
    path: str
    status: int
    api: str
    route: str
    app: str
    credential: str
    plan: str
    target: str
    client_ip: str
    duration_us: int
    upstream_us: int
    bytes_in: int
    bytes_out: int
    tries: int
    code: str
    policy: str
    rule: str
    observed: str
    protocol: str
    revision: int
    trace_id: str
    user_agent: str
