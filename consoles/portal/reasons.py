"""Why a call failed, in words for the one who called."""

from __future__ import annotations

_BY_CODE = {
    "rate-limit-exceeded": "Too many calls",
    "key-missing": "No key was sent",
    "key-invalid": "The key is unknown, expired or revoked",
    "key-duplicate": "More than one key was sent",
    "no-route": "There is nothing at this path",
    "method-not-allowed": "This path does not take this method",
    "acl-denied": "This App may not use this",
    "unauthorized": "The App was not identified",
    "ip-not-allowed": "Calls from this address are not allowed",
    "body-too-large": "The request's body is too large",
    "length-required": "The request does not say how long its body is",
    "body-timeout": "The request's body took too long to arrive",
    "request-terminated": "The service is switched off for now",
    "malformed-request": "The request is not valid HTTP",
    "bad-path": "The path is not valid",
    "encoded-delimiter": "The path holds an escaped delimiter",
    "identities-unavailable": "Keys could not be checked; try again",
    "policy-error": "The gateway failed; tell us the request id",
}
_BY_STATE = {
    2: "Your client closed the connection before the answer",
    3: "The service behind the gateway could not be reached or failed",
    4: "The service behind the gateway did not answer in time",
    5: "The gateway was busy; try again",
    6: "The gateway was stopped during the call",
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


def reason(code: str, status: int, state: int = 0, rule: str = "") -> str:
    """The reason for a failed call; `rule` is the limit that was hit, where it is one."""
    if code in _BY_CODE:
        words = _BY_CODE[code]
        limited = code == "rate-limit-exceeded" and rule
        return f"{words}: the limit is {rule.partition(' by ')[0]}" if limited else words
    if state in _BY_STATE:
        return _BY_STATE[state]
    if code:
        return code.replace("-", " ").capitalize()
    if status >= 500:
        return f"The service answered with an error ({status})"
    return _BY_STATUS.get(status, f"The service answered {status}")
