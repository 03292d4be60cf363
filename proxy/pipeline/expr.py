"""Conditions (`when`): a small, typed part of the Common Expression Language, compiled to closures.

    request.method in ["POST", "PUT"] && !("staff" in groups)
    request.headers["x-tenant"].startsWith("eu-") || request.path.matches("^/v[12]/")

Why not a whole CEL engine: it has to be handed every variable for every evaluation (measured: 88 µs with
twenty headers, more than a request costs altogether), it only finds unknown names and wrong types when a
request comes, and importing it takes 30 MB. Here types are checked at publish, and a request pays for
what the condition looks at. Every condition is valid CEL, with two differences in meaning: a header or
query parameter that is not there is the empty string (ask `"name" in request.headers`), and `matches`
uses Python's regular expressions, written as a literal.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple, NoReturn
from urllib.parse import unquote_plus

from proxy.exchange import Exchange
from proxy.pipeline.policy import Invalid

_LONGEST = 2000
_DEEPEST = 40
_ESCAPES = {"\\": "\\", '"': '"', "'": "'", "n": "\n", "r": "\r", "t": "\t"}
_TOKENS = re.compile(
    r"""\s*(?:(?P<string>"(?:[^"\\\r\n]|\\.)*"|'(?:[^'\\\r\n]|\\.)*')|(?P<number>[0-9]+)"""
    r"""|(?P<name>[A-Za-z_][A-Za-z0-9_]*)|(?P<operator>&&|\|\||[=!<>]=|[<>!()\[\].,])|(?P<end>\Z)|(?P<bad>.))""",
    re.DOTALL,
)


class Term(NamedTuple):
    """A compiled part: its type (`bool`, `int`, `string`, `list`, `headers`, `query`) and how to get it."""

    kind: str
    run: Callable[[Exchange], Any]
    literal: Any = None


class Condition:
    """A compiled `when`: call it with an Exchange.

    If evaluating fails the answer is True, so that the policy runs: a condition must not be a way round
    it. Such failures are counted in `failures`, for all conditions of the process together.
    """

    __slots__ = ("_run", "text")
    failures: ClassVar[int] = 0

    def __init__(self, text: str, run: Callable[[Exchange], Any]) -> None:
        self.text = text
        self._run = run

    def __call__(self, x: Exchange) -> bool:
        try:
            return bool(self._run(x))
        except Exception:
            Condition.failures += 1
            return True

    def __repr__(self) -> str:
        return f"Condition({self.text!r})"


def compile_condition(text: str) -> Condition:
    """The condition, ready to be asked for each request. Raises `Invalid` (field `when`) with the place."""
    if len(text) > _LONGEST:
        raise Invalid(f"A condition has at most {_LONGEST} characters.", "when")
    parser = _Parser(text)
    term = parser.either()
    if parser.kind != "end":
        parser.fail(f"{parser.text!r} was not expected")
    if term.kind != "bool":
        raise Invalid(f"A condition is true or false, this is a {term.kind}.", "when")
    return Condition(text, term.run)


def _header(name: str) -> Callable[[Exchange], str]:
    key = name.lower().encode()

    def header(x: Exchange) -> str:
        # All lines count: a second one must not hide from a rule about the first (threats T-B07).
        return b", ".join([value for found, value in x.headers if found == key]).decode("latin-1")

    return header


def _has_header(name: str) -> Callable[[Exchange], bool]:
    key = name.lower().encode()
    return lambda x: x.header(key) is not None


def _parameters(x: Exchange) -> dict[str, str]:
    """The query's parameters, decoded; of several with one name, the first."""
    found: dict[str, str] = {}
    for part in x.query.decode("latin-1").split("&"):
        name, _, value = part.partition("=")
        found.setdefault(unquote_plus(name), unquote_plus(value))
    return found


_MAPS: dict[
    str, tuple[Callable[[str], Callable[[Exchange], str]], Callable[[str], Callable[[Exchange], bool]]]
] = {
    "headers": (_header, _has_header),
    "query": (
        lambda name: lambda x: _parameters(x).get(name, "") if x.query else "",
        lambda name: lambda x: bool(x.query) and name in _parameters(x),
    ),
}

VARIABLES: dict[str, Term] = {
    "request.method": Term("string", lambda x: x.method.decode("latin-1")),
    "request.path": Term("string", lambda x: x.path.decode("latin-1")),
    "request.host": Term("string", lambda x: x.host.decode("latin-1")),
    "request.query": Term("query", _parameters),
    "request.headers": Term("headers", lambda x: x.headers),
    "client_ip": Term("string", lambda x: x.client_ip),
    "consumer": Term("string", lambda x: x.identity.app if x.identity is not None else ""),
    "groups": Term("list", lambda x: x.identity.groups if x.identity is not None else ()),
    "plan": Term("string", lambda x: x.plan),
    "api": Term("string", lambda x: x.route.config.api if x.route is not None else ""),
    "route": Term("string", lambda x: x.route.config.name if x.route is not None else ""),
}

_COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_STRING_METHODS: dict[str, Callable[[Any, Any], Any]] = {
    "startsWith": str.startswith,
    "endsWith": str.endswith,
    "contains": operator.contains,
}


class _Parser:
    """Recursive descent over the tokens, one method per level of precedence."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._next = 0
        self._depth = 0
        self.start = 0
        self.kind = self.text = ""
        self.advance()

    def advance(self) -> str:
        """Go to the next token; the text of the one that was."""
        before = self.text
        match = _TOKENS.match(self._source, self._next)
        if match is None or match.lastgroup is None:
            self.fail("cannot be read")
        self.kind, self.text = match.lastgroup, match[match.lastgroup]
        self.start, self._next = match.start(match.lastgroup), match.end()
        if self.kind == "bad":
            self.fail(f"{self.text!r} was not expected")
        return before

    def fail(self, reason: str) -> NoReturn:
        """Refuse the condition, with the place."""
        raise Invalid(f"At character {self.start + 1}: {reason}.", "when")

    def take(self, text: str) -> bool:
        """Go on if this operator or name comes next."""
        found = self.kind in ("operator", "name") and self.text == text
        if found:
            self.advance()
        return found

    def expect(self, text: str) -> None:
        """This operator has to come next."""
        if not self.take(text):
            self.fail(f"{text!r} is missing before {self.text!r}" if self.text else f"{text!r} is missing")

    def either(self) -> Term:
        """`a || b`"""
        self._depth += 1
        if self._depth > _DEEPEST:
            self.fail("too deeply nested")
        left = self.both()
        while self.take("||"):
            left = _logical(self.boolean(left), self.boolean(self.both()), any_of=True)
        self._depth -= 1
        return left

    def both(self) -> Term:
        """`a && b`"""
        left = self.comparison()
        while self.take("&&"):
            left = _logical(self.boolean(left), self.boolean(self.comparison()), any_of=False)
        return left

    def boolean(self, term: Term) -> Term:
        """Refuse what is neither true nor false."""
        if term.kind != "bool":
            self.fail(f"true or false is needed here, not a {term.kind}")
        return term

    def comparison(self) -> Term:
        """`a == b`, `a < b`, `a in b`"""
        left = self.negation()
        if self.take("in"):
            return self.membership(left, self.negation())
        if self.kind != "operator" or self.text not in _COMPARISONS:
            return left
        sign = self.advance()
        right = self.negation()
        kinds = ("string", "int", "bool") if sign in ("==", "!=") else ("string", "int")
        if left.kind != right.kind or left.kind not in kinds:
            self.fail(f"a {left.kind} and a {right.kind} cannot be compared with {sign}")
        return _compared(_COMPARISONS[sign], left, right)

    def membership(self, item: Term, container: Term) -> Term:
        """`"a" in groups`, `"x-a" in request.headers`"""
        if item.kind != "string":
            self.fail(f"only a string can be looked for with 'in', not a {item.kind}")
        if container.kind == "list":
            return _compared(lambda member, members: member in members, item, container)
        if container.kind not in _MAPS:
            self.fail(f"nothing is in a {container.kind}")
        return Term("bool", _MAPS[container.kind][1](self.literal(item)))

    def literal(self, term: Term) -> str:
        """The text of a string that is written out."""
        if not isinstance(term.literal, str):
            self.fail("a string in quotes is needed here")
        return term.literal

    def negation(self) -> Term:
        """`!a`"""
        negations = 0
        while self.take("!"):
            negations += 1
        term = self.member()
        if not negations:
            return term
        run = self.boolean(term).run
        return Term("bool", (lambda x: not run(x)) if negations % 2 else run)

    def member(self) -> Term:
        """`a.b`, `a["b"]`, `a.method(b)`"""
        term = self.primary()
        while True:
            if self.take("["):
                name = self.literal(self.either())
                self.expect("]")
                term = self.entry(term, name)
            elif self.take("."):
                name = self.identifier()
                term = self.method(term, name) if self.take("(") else self.entry(term, name)
            else:
                return term

    def identifier(self) -> str:
        """A name."""
        if self.kind != "name":
            self.fail("a name is missing")
        return self.advance()

    def entry(self, term: Term, name: str) -> Term:
        """A header or a query parameter."""
        if term.kind not in _MAPS:
            self.fail(f"a {term.kind} has no {name!r}")
        return Term("string", _MAPS[term.kind][0](name))

    def method(self, term: Term, name: str) -> Term:
        """A method call, after its opening bracket."""
        if name == "size":
            self.expect(")")
            return self.size(term)
        if term.kind != "string" or name not in (*_STRING_METHODS, "matches"):
            self.fail(f"a {term.kind} has no method {name!r}")
        argument = self.either()
        self.expect(")")
        if argument.kind != "string":
            self.fail(f"{name} takes a string, not a {argument.kind}")
        if name == "matches":
            return self.matches(term, self.literal(argument))
        return _compared(_STRING_METHODS[name], term, argument)

    def matches(self, term: Term, pattern: str) -> Term:
        """`a.matches("^/v[0-9]+")`: whether the pattern is found anywhere in the string."""
        run = term.run
        try:
            search = re.compile(pattern).search
        except (re.error, RecursionError, OverflowError) as error:
            self.fail(f"{pattern!r} is not a regular expression: {error}")
        return Term("bool", lambda x: search(run(x)) is not None)

    def size(self, term: Term) -> Term:
        """The number of characters of a string, or of members of a list."""
        run = term.run
        if term.kind not in ("string", "list"):
            self.fail(f"a {term.kind} has no size")
        return Term("int", lambda x: len(run(x)))

    def primary(self) -> Term:
        """A literal, a list, a variable, or an expression in brackets."""
        if self.kind == "string":
            return _constant("string", self.string())
        if self.kind == "number":
            return _constant("int", int(self.advance()))
        if self.kind == "name":
            return self.variable(self.advance())
        if self.take("("):
            term = self.either()
            self.expect(")")
            return term
        if not self.take("["):
            self.fail(f"{self.text!r} was not expected" if self.text else "something is missing at the end")
        return self.members()

    def string(self) -> str:
        """The text of a string literal."""

        def unescaped(match: re.Match[str]) -> str:
            if match[1] not in _ESCAPES:
                self.fail(f"there is no escape {match[0]}; a backslash is written twice")
            return _ESCAPES[match[1]]

        text = re.sub(r"\\(.)", unescaped, self.text[1:-1])
        self.advance()
        return text

    def members(self) -> Term:
        """A list of strings, after its opening bracket."""
        found: list[str] = []
        while not self.take("]"):
            if self.kind != "string":
                self.fail("a list holds strings in quotes")
            found.append(self.string())
            if not self.take(","):
                self.expect("]")
                break
        return _constant("list", tuple(found))

    def variable(self, name: str) -> Term:
        """A variable, `true`, `false` or `size(a)`."""
        if name in ("true", "false"):
            return _constant("bool", name == "true")
        if name == "size" and self.take("("):
            term = self.either()
            self.expect(")")
            return self.size(term)
        if name == "request":
            self.expect(".")
            name = f"request.{self.identifier()}"
        if name not in VARIABLES:
            self.fail(f"there is no {name!r}; there are {', '.join(VARIABLES)}")
        return VARIABLES[name]


def _constant(kind: str, value: Any) -> Term:
    return Term(kind, lambda x: value, value)


def _compared(operation: Callable[[Any, Any], Any], left: Term, right: Term) -> Term:
    """An operation on two terms, without a call for the one that is constant."""
    run, other = left.run, right.run
    if right.literal is not None:
        value = right.literal
        return Term("bool", lambda x: operation(run(x), value))
    return Term("bool", lambda x: operation(run(x), other(x)))


def _logical(left: Term, right: Term, *, any_of: bool) -> Term:
    first, second = left.run, right.run
    if any_of:
        return Term("bool", lambda x: first(x) or second(x))
    return Term("bool", lambda x: first(x) and second(x))
