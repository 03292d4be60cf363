"""Why a call failed, in words for the one who called: what happened, and what they can do about it."""

from __future__ import annotations

from typing import NamedTuple


class Reason(NamedTuple):
    """`words` say what happened and are no whole sentence; `advice` is one or more, empty where none helps."""

    words: str
    advice: str = ""


_OURS = "This is not your request's fault: tell us the request id."
_LATER = "This is not your request's fault: try again in a moment."
_UNSURE = "The service may have done what was asked all the same: look before you repeat anything but a GET."
_CLIENT = "A proper HTTP client does not send this: look at what builds the request."
_SOCKET = "Open the WebSocket again."

_BY_CODE = {
    # who calls, and what they may do
    "key-missing": Reason(
        "No key was sent", "Send a key of this App in the header that the Api's page names."
    ),
    "key-invalid": Reason("The key is unknown, expired or revoked", "Make a new key on the App's page."),
    "key-duplicate": Reason("More than one key was sent", "Send the key once, in one header."),
    "unauthorized": Reason("The App was not identified", "Send a key of this App."),
    "acl-denied": Reason("This App may not use this", "Ask for access on the Api's page."),
    "ip-not-allowed": Reason("Calls from this address are not allowed", "Call from an address that we know."),
    "identities-unavailable": Reason("Keys could not be checked", _LATER),
    "credential-revoked": Reason("The key was revoked while the connection was open", "Use another key."),
    # limits
    "rate-limit-exceeded": Reason("Too many calls", "Wait as long as the header Retry-After says."),
    "rate-limit-unavailable": Reason("Calls could not be counted", _LATER),
    "body-too-large": Reason("The request's body is too large", "Send less at once."),
    "length-required": Reason("The request does not say how long its body is", "Send a Content-Length."),
    "headers-too-large": Reason("The request's headers are too large", "Send fewer or smaller ones."),
    "too-many-headers": Reason("The request has too many headers", "Send fewer."),
    "target-too-long": Reason("The address is too long", "Send long values in a body."),
    "header-timeout": Reason(
        "The request took too long to arrive", "Look at your connection, then try again."
    ),
    "body-timeout": Reason(
        "The request's body took too long to arrive", "Look at your connection, then try again."
    ),
    # where to
    "no-route": Reason("There is nothing at this path", "Compare the path with the Api's reference."),
    "method-not-allowed": Reason(
        "This path does not take this method", "The header Allow of the answer names those that it takes."
    ),
    "method-not-supported": Reason("This method is not supported", "Use one that the Api's reference names."),
    "request-terminated": Reason("The service is switched off for now", "Try again later, or ask us."),
    # a request that is not as it has to be
    "malformed-request": Reason("The request is not valid HTTP", _CLIENT),
    "malformed-body": Reason("The request's body is not valid HTTP", _CLIENT),
    "version-not-supported": Reason("This version of HTTP is not supported", "Use HTTP/1.1."),
    "bad-target": Reason("The request's target is not a path", _CLIENT),
    "bad-path": Reason("The path is not valid", "Escape what is no letter, digit or one of - . _ ~ in it."),
    "encoded-delimiter": Reason("The path holds an escaped delimiter", "Leave %2F and %5C out of the path."),
    "bad-host": Reason("The Host header is missing or not valid", _CLIENT),
    "duplicate-host": Reason("There is more than one Host header", _CLIENT),
    "host-mismatch": Reason("The Host header and the address differ", _CLIENT),
    "header-underscore": Reason("A header's name has an underscore", "Write it with a hyphen."),
    "bad-content-length": Reason("The Content-Length is not a number", _CLIENT),
    "ambiguous-length": Reason("The request's length is given twice", _CLIENT),
    "bad-transfer-encoding": Reason("The Transfer-Encoding is not valid", _CLIENT),
    "transfer-encoding-not-supported": Reason(
        "This Transfer-Encoding is not supported", "Use chunked, or a Content-Length."
    ),
    "expectation-failed": Reason("The Expect header asks for what is not supported", "Leave it out."),
    # WebSockets
    "websocket-not-allowed": Reason("This path takes no WebSockets", "Use plain HTTP here."),
    "websocket-version": Reason("This version of WebSocket is not supported", "Use version 13."),
    "bad-handshake": Reason("The WebSocket's handshake is not valid", _CLIENT),
    "websocket-message-too-large": Reason("A message on the WebSocket was too large", "Send it in parts."),
    "websocket-protocol-error": Reason("What came over the WebSocket is not valid", _SOCKET),
    "client-ping-timeout": Reason("Your client did not answer on the WebSocket", _SOCKET),
    "client-stalled": Reason("Your client did not read the WebSocket", "Read what comes, or ask for less."),
    "upstream-ping-timeout": Reason("The service did not answer on the WebSocket", _SOCKET),
    "upstream-stalled": Reason("The service did not read the WebSocket", "Send less at once."),
    # the service behind the gateway
    "upstream-unreachable": Reason("The service could not be reached", _LATER),
    "upstream-connect-timeout": Reason("The service did not accept a connection in time", _LATER),
    "upstream-connection-stale": Reason("The service closed the connection", _LATER),
    "upstream-connection-lost": Reason("The service broke off before its answer was complete", _UNSURE),
    "upstream-protocol-error": Reason("The service's answer was not valid HTTP", _OURS),
    "upstream-timeout": Reason("The service did not answer in time", _UNSURE),
    "upstream-busy": Reason("The service is busy", _LATER),
    "no-healthy-upstream": Reason("The service is down", _LATER),
    "answer-too-large": Reason("The service's answer is too large", "Ask for less at once, or tell us."),
    # the gateway
    "unsafe-header": Reason("The request could not be passed on", _OURS),
    "transform-unsafe-value": Reason("The request could not be passed on", _OURS),
    "policy-error": Reason("The gateway failed", _OURS),
    "internal-error": Reason("The gateway failed", _OURS),
    "not-ready": Reason("The gateway was starting", _LATER),
    "draining": Reason("The gateway was restarted", _SOCKET),
    "drain-timeout": Reason("The gateway was stopped during the call", _UNSURE),
    "client-gone": Reason("Your client closed the connection before the answer", "Is its timeout too short?"),
}
_BY_STATE = {
    2: _BY_CODE["client-gone"],
    3: Reason("The service could not be reached or failed", _UNSURE),
    4: _BY_CODE["upstream-timeout"],
    5: Reason("The gateway was busy", _LATER),
    6: _BY_CODE["drain-timeout"],
}
_BY_STATUS = {
    400: "The service found the request wrong",
    401: "The service did not accept who called",
    403: "The service refused",
    404: "The service has nothing there",
    409: "The service saw a conflict",
    422: "The service found the request's content wrong",
    429: "The service itself refused for too many calls",
}


def reason(code: str, status: int, state: int = 0, rule: str = "") -> Reason:
    """The reason for a failed call; `rule` is the limit that was hit, where it is one."""
    found = _BY_CODE.get(code) or _BY_STATE.get(state)
    if found is None:
        return Reason(code.replace("-", " ").capitalize() if code else _by_status(status))
    if code == "rate-limit-exceeded" and rule:
        return found._replace(words=f"{found.words}: the limit is {rule.partition(' by ')[0]}")
    return found


def _by_status(status: int) -> str:
    if status >= 500:
        return f"The service answered with an error ({status})"
    return _BY_STATUS.get(status, f"The service answered {status}")
