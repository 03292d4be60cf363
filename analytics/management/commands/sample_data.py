"""`manage.py sample_data`: a big installation to try pages at size."""

from __future__ import annotations

import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from analytics.sample import Size, make_objects, make_traffic
from proxy.models import Api, App


class Command(BaseCommand):
    """Fills a database of its own with sample objects and traffic; not for one that is in use."""

    help = "Fill an empty database with sample Apis, Apps, keys and a month of traffic, to try pages at size."

    def add_arguments(self, parser: CommandParser) -> None:
        """How big it is to be."""
        for name, value, what in (
            ("days", 30, "days of traffic"),
            ("routes", 2000, "Routes"),
            ("apps", 5000, "Apps"),
            ("keys", 20_000, "keys"),
            ("active", 400, "Apps that call in an hour, beside 40 busy ones"),
            ("records", 100_000, "single requests in the last two hours"),
        ):
            parser.add_argument(
                f"--{name}", type=int, default=value, help=f"how many {what}; {value:,} by default"
            )
        parser.add_argument("--beside", action="store_true", help="also where there are Apis or Apps already")

    def handle(self, *_: Any, **options: Any) -> None:
        """Prints how much was made, and how long it took."""
        if App.objects.filter(name__startswith="sample-app-").exists():
            raise CommandError("The sample data are there already.")
        if not options["beside"] and (Api.objects.exists() or App.objects.exists()):
            raise CommandError("There are Apis or Apps already; --beside adds the sample data to them.")
        size = Size(**{name: max(1, options[name]) for name in Size.__dataclass_fields__})
        begun = time.monotonic()
        callers = make_objects(size)
        requests = sum(make_traffic(size, callers, int(time.time())))
        self.stdout.write(
            f"{size.routes:,} Routes, {size.apps:,} Apps, {size.keys:,} keys, {requests:,} requests "
            f"in {size.days} days, made in {time.monotonic() - begun:.0f} s"
        )
