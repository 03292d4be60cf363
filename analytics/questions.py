"""What can be asked of the rollups: whose traffic, when, and which of it."""

from __future__ import annotations

import time
from typing import Any, Literal, get_args

import msgspec
from django.db.models import Q

from analytics.batch import DAY, HOUR, MINUTE
from analytics.limits import limit
from proxy.telemetry.record import STATES

Dimension = Literal["api", "route", "app", "plan", "target", "status", "code", "policy", "state"]
StatusClass = Literal["none", "1xx", "2xx", "3xx", "4xx", "5xx"]
CLASSES: tuple[StatusClass, ...] = get_args(StatusClass)
"""`none` is a request that got no answer. Index with status // 100."""
FIVE_MINUTES = 300
_STEPS = ((3 * HOUR, MINUTE), (25 * HOUR, FIVE_MINUTES), (14 * DAY, HOUR))
"""Up to this length of range in seconds, that step: at most about 340 points."""


class Scope(msgspec.Struct, frozen=True):
    """Whose traffic may be seen: that of these Apps alone, or all of it if `apps` is None.

    Every question has one, so that nothing for a developer can be asked without saying who asks.
    """

    apps: tuple[str, ...] | None


EVERYTHING = Scope(None)


def only(*apps: str) -> Scope:
    """The traffic of these Apps; of none if there are none."""
    return Scope(apps)


class Filters(msgspec.Struct, frozen=True, kw_only=True):
    """Which requests: in each dimension one of the values; an empty tuple means all.

    `errors_only` leaves those that the gateway gave an error code.
    """

    api: tuple[str, ...] = ()
    route: tuple[str, ...] = ()
    app: tuple[str, ...] = ()
    plan: tuple[str, ...] = ()
    target: tuple[str, ...] = ()
    status: tuple[int, ...] = ()
    status_class: tuple[StatusClass, ...] = ()
    code: tuple[str, ...] = ()
    policy: tuple[str, ...] = ()
    state: tuple[int, ...] = ()
    errors_only: bool = False

    def dimensions(self) -> set[str]:
        """The dimensions that are filtered by."""
        used = {name for name in get_args(Dimension) if getattr(self, name)}
        return used | ({"status"} if self.status_class else set()) | ({"code"} if self.errors_only else set())


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """Scope, range from `start` to before `end` (Unix seconds) and filters.

    Rollups know whole minutes only, and whole hours or days of what is long ago: answers are about
    `window`, which is the range widened to such bounds.
    """

    scope: Scope
    start: int
    end: int
    filters: Filters = Filters()
    now: float | None = None

    @property
    def step(self) -> int:
        """Seconds between the points of a chart."""
        return choose_step(self.start, self.end, self.now)

    @property
    def window(self) -> tuple[int, int]:
        """The range, widened to the finest windows that are still kept."""
        return widen(self.start, self.end, finest(self.start, self.now))

    def condition(self) -> Q:
        """Scope and filters as a condition on series."""
        condition = Q()
        if self.scope.apps is not None:
            condition &= Q(app__in=self.scope.apps)
        for name in get_args(Dimension):
            values = getattr(self.filters, name)
            if values:
                condition &= Q(**{f"{name}__in": tuple(map(storable, values))})
        if self.filters.status_class:
            condition &= class_condition("status", self.filters.status_class)
        if self.filters.errors_only:
            condition &= ~Q(code="")
        return condition

    def dimensions(self) -> set[str]:
        """The dimensions that scope and filters need."""
        return self.filters.dimensions() | (set() if self.scope.apps is None else {"app"})


def storable(value: Any) -> Any:
    """The value as it would be in the database: PostgreSQL refuses NUL in text, even as a parameter."""
    return value.replace("\0", "\N{REPLACEMENT CHARACTER}") if isinstance(value, str) else value


def class_condition(field: str, classes: tuple[StatusClass, ...]) -> Q:
    """That a status is of one of the classes."""
    condition = Q(pk__in=[]) if not classes else Q()
    for name in classes:
        low = CLASSES.index(name) * 100
        condition |= Q(**{f"{field}__gte": low, f"{field}__lt": low + 100})
    return condition


def last(seconds: int, scope: Scope, filters: Filters | None = None, now: float | None = None) -> Question:
    """About the last `seconds` up to now."""
    end = int(time.time() if now is None else now) + 1
    return Question(scope=scope, start=end - seconds, end=end, filters=filters or Filters(), now=now)


def finest(start: int, now: float | None = None) -> int:
    """The shortest windows that are still kept for the time of `start`."""
    age = (time.time() if now is None else now) - start
    if age < limit("MINUTE_DAYS") * DAY:
        return MINUTE
    return HOUR if age < limit("HOUR_DAYS") * DAY else DAY


def choose_step(start: int, end: int, now: float | None = None) -> int:
    """The step of a chart over that range."""
    fitting = next((step for longest, step in _STEPS if end - start <= longest), DAY)
    return max(fitting, finest(start, now))


def widen(start: int, end: int, step: int) -> tuple[int, int]:
    """The range with its bounds on multiples of `step`."""
    return start // step * step, -(-end // step) * step


Span = tuple[int, int]


def spans(start: int, end: int, smallest: int) -> dict[int, list[Span]]:
    """The range as whole days, whole hours and whole minutes: few rows, and nothing twice.

    `start` and `end` are multiples of `smallest`.
    """
    found: dict[int, list[Span]] = {DAY: [], HOUR: [], MINUTE: []}
    rest: list[Span] = [(start, end)]
    for step in (DAY, HOUR, MINUTE):
        if step < smallest:
            break
        left: list[Span] = []
        for low, high in rest:
            inner_low, inner_high = -(-low // step) * step, high // step * step
            if inner_low < inner_high:
                found[step].append((inner_low, inner_high))
                left += [span for span in ((low, inner_low), (inner_high, high)) if span[0] < span[1]]
            else:
                left.append((low, high))
        rest = left
    return {step: parts for step, parts in found.items() if parts}


def state_name(state: int) -> str:
    """A terminal state as people read it."""
    return STATES[state] if 0 <= state < len(STATES) else "unknown"


def class_of(status: int) -> StatusClass:
    """The class of a status."""
    return CLASSES[min(max(status // 100, 0), len(CLASSES) - 1)]
