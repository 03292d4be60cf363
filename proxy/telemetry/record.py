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
    duration_us: int
    request_id: str
    trace_id: str
    method: str
    host: str
    path: str
    user_agent: str
    api: str
    route: str
    revision: int
    app: str
    credential: str
    state: int
    status: int
    client_ip: str
    plan: str
    target: str
    upstream_us: int
    bytes_in: int
    bytes_out: int
    tries: int
    code: str
    policy: str
    rule: str
    observed: str
    protocol: str
