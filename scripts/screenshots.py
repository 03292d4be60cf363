"""Takes the pictures of console and portal in `docs/screenshots`: `python scripts/screenshots.py [name ...]`.

Starts the product with the demo shop in a temporary folder on free ports, gives it a day of history and some
live traffic, and photographs the pages in Chromium. With names, only those pictures. Needs what
`requirements-dev.txt` names, and Chromium.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import os
import random
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.browser.visits import CHROMIUM, Look, Visitor  # noqa: E402
from tests.gateway.processes import Product, free_range, running, wait_until  # noqa: E402

FOLDER = ROOT / "docs" / "screenshots"
MOST_BYTES = 200_000
WIDE = (Look("light", 1440), Look("dark", 1440))
PHONE = (Look("light", 360), Look("dark", 360))
HISTORY = {"days": 8, "records": 9_000}
LIVE_SECONDS, LIVE_RATE = 900.0, 8.0
MANY = 200
"""So many live calls are counted before the first picture."""
WATCHED = 120.0
"""So long the overview has been watched before its picture, since it draws what it sees, in seconds."""


class Picture(NamedTuple):
    """One page: who sees it, where it is, how it is shown, and what is done there first."""

    name: str
    who: str
    path: str
    looks: tuple[Look, ...] = WIDE
    first: Callable[[Any], None] = lambda _: None


def open_drawer(page: Any) -> None:
    """The details of a refused call."""
    page.locator("tr", has_text="429").locator("[hx-target='#drawer-content']").first.click()
    page.locator("dialog#drawer[open] .drawer-title").wait_for()


def open_difference(page: Any) -> None:
    """The first change with both sides."""
    page.locator("details.diff-one").first.evaluate("one => { one.open = true }")


def open_operation(page: Any) -> None:
    """An operation of the reference."""
    page.locator("details.operation summary").first.click()
    page.locator("details.operation[open]").evaluate("one => one.scrollIntoView({block: 'start'})")


def try_match(page: Any) -> None:
    """Ask the match tester."""
    page.get_by_label("Address").first.fill("/shop/products/items/2")
    page.locator("#match-result strong").first.wait_for()


def take_key(page: Any) -> None:
    """Issue one: it is shown once."""
    page.get_by_label("What it is for").fill("staging")
    page.get_by_role("button", name="Make the key").click()
    page.locator("code.secret").wait_for()


def furnish() -> dict[str, int]:
    """A day of history, a Developer with Apps and keys, and changes that nobody has published yet."""
    from django.contrib.auth import get_user_model
    from django.utils import timezone

    from analytics.sample import Caller, Size, make_traffic
    from consoles.models import Membership
    from proxy.identity.issue import issue_key
    from proxy.models import Api, App, Developer, Policy, Route

    Membership.objects.update(temporary_password=False)
    user = get_user_model().objects.create_user("dana@example.com", "dana@example.com")
    dana = Developer.objects.create(email=user.email, name="Dana", user=user)
    App.objects.update(developer=dana, created_at=timezone.now() - datetime.timedelta(days=30))
    for app in App.objects.all():
        issue_key(app, name="production")
    chance = random.Random(7)  # noqa: S311 - for pictures
    callers = [
        Caller("demo-shop", api.slug, _routes(api), "partner", _targets(api), chance.uniform(0.2, 1))
        for api in Api.objects.all()
    ]
    for _ in make_traffic(Size(**HISTORY), callers, int(time.time())):
        pass
    _subscribe()
    limit = Policy.objects.filter(name="rate-limit", scope="route").first()
    if limit is not None:
        limit.config = {"limits": [{"amount": 40, "period": "minute"}], "by": "consumer"}
        limit.save()
    reviews = Api.objects.get(slug="reviews")
    Route.objects.create(
        api=reviews,
        name="latest-reviews",
        path="/latest",
        upstream=Route.objects.get(name="reviews").upstream,
    )
    return {"api": Api.objects.get(slug="products").pk, "app": App.objects.get(name="demo-shop").pk}


def _subscribe() -> None:
    """The demo's App uses every Api under the Plans that there are, published as a second Revision."""
    from proxy.config.publish import publish
    from proxy.models import Api, App, Plan, Policy, Subscription

    if not Plan.objects.exists():
        plan = Plan.objects.create(
            name="partner", title="Partner", description="For shops that sell with us."
        )
        config = {"limits": [{"amount": 1200, "period": "minute"}], "by": "consumer"}
        Policy.objects.create(name="rate-limit", scope="plan", plan=plan, config=config)
    app, plan = App.objects.get(name="demo-shop"), Plan.objects.order_by("-name").first()
    for api in Api.objects.all():
        Subscription.objects.get_or_create(app=app, api=api, defaults={"plan": plan, "status": "accepted"})
    publish("Plans for the shop's partners", "admin")


def _routes(api: Any) -> tuple[str, str]:
    names = list(api.routes.values_list("name", flat=True))
    return names[0], names[-1]


def _targets(api: Any) -> tuple[str, str]:
    one, other = api.routes.first().upstream.targets.all()[:2]
    return f"{one.host}:{one.port}", f"{other.host}:{other.port}"


def pictures(ids: dict[str, int]) -> list[Picture]:
    """All of them."""
    console, portal = "/console", "/portal"
    usage = f"{portal}/apps/{ids['app']}/usage/"
    return [
        Picture("overview", "admin", f"{console}/", (*WIDE, *PHONE)),
        Picture("apis", "admin", f"{console}/apis/"),
        Picture("api", "admin", f"{console}/apis/{ids['api']}/"),
        Picture("policy", "admin", f"{console}/policies/new/?scope=api&name=rate-limit"),
        Picture("match", "admin", f"{console}/match/", WIDE, try_match),
        Picture("publish", "admin", f"{console}/publish/", WIDE, open_difference),
        Picture("traffic", "admin", f"{console}/traffic/?status_class=4xx", WIDE, open_drawer),
        Picture("nodes", "admin", f"{console}/revisions/"),
        Picture("portal-catalogue", "dana@example.com", f"{portal}/"),
        Picture("portal-api", "dana@example.com", f"{portal}/apis/products/", (*WIDE, *PHONE)),
        Picture("portal-operation", "dana@example.com", f"{portal}/apis/products/", WIDE, open_operation),
        Picture("portal-app", "dana@example.com", f"{portal}/apps/{ids['app']}/"),
        Picture("portal-usage", "dana@example.com", f"{usage}?range=7d", (*WIDE, *PHONE)),
        Picture("portal-key", "dana@example.com", f"{portal}/apps/{ids['app']}/keys/new/", WIDE, take_key),
    ]


def cookies(who: str) -> dict[str, str]:
    """Signed in as somebody."""
    from django.contrib.auth import get_user_model
    from django.test import Client

    client = Client()
    client.force_login(get_user_model().objects.get(username=who))
    return {name: morsel.value for name, morsel in client.cookies.items()}


@contextlib.contextmanager
def live_traffic(product: Product) -> Iterator[None]:
    """Calls through the gateway all the while; begins once some of them are counted."""
    from analytics.models import RawRecord
    from proxy.demo import traffic

    key = (product.data / "demo.key").read_text(encoding="ascii").strip()
    over = threading.Event()
    options = {"seconds": LIVE_SECONDS, "rate": LIVE_RATE, "stopped": over.is_set}
    sender = threading.Thread(target=lambda: asyncio.run(traffic.run(product.url, key, **options)))
    sender.start()
    try:
        mine = RawRecord.objects.filter(user_agent=traffic.USER_AGENT)
        wait_until(lambda: mine.count() >= MANY, 120, "the traffic is not counted")
        yield
    finally:
        over.set()
        sender.join()


def photograph(site: str, asked: list[Picture], signed_in: dict[str, dict[str, str]]) -> list[Path]:
    """Each picture in each of its looks; those of the overview, which somebody has to watch, last."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as player:
        browser = player.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--hide-scrollbars"])
        watched = [one for one in asked if one.name == "overview"]
        if watched:
            _open(browser, site, watched[0], WIDE[0], signed_in)
        begun = time.monotonic()
        made = [
            _take(browser, site, one, look, signed_in)
            for one in asked
            if one not in watched
            for look in one.looks
        ]
        if watched:
            time.sleep(max(0.0, WATCHED - (time.monotonic() - begun)))
        made += [_take(browser, site, one, look, signed_in) for one in watched for look in one.looks]
        browser.close()
    return made


def _open(
    browser: Any, site: str, picture: Picture, look: Look, signed_in: dict[str, dict[str, str]]
) -> Visitor:
    size = {"width": look.width, "height": 900 if look.width > 500 else 780}
    context = browser.new_context(color_scheme=look.theme, viewport=size, reduced_motion="reduce")
    visiting = Visitor(context.new_page(), site)
    visiting.become(signed_in[picture.who])
    visiting.go(picture.path, picture.name)
    return visiting


def _take(
    browser: Any, site: str, picture: Picture, look: Look, signed_in: dict[str, dict[str, str]]
) -> Path:
    visiting = _open(browser, site, picture, look, signed_in)
    picture.first(visiting.page)
    visiting.settle()
    visiting.page.wait_for_timeout(1500 if picture.name == "overview" else 400)  # charts take frames
    path = FOLDER / f"{picture.name}-{look.theme}{'' if look.width > 500 else '-phone'}.png"
    visiting.page.screenshot(path=path, caret="hide")
    for problem in visiting.found:
        print(problem, file=sys.stderr)
    visiting.page.context.close()
    return path


def shrink(path: Path) -> int:
    """Fewer colours where the picture is big; its size in bytes."""
    from PIL import Image

    with Image.open(path) as image:
        image.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)
    return path.stat().st_size


def main() -> None:
    """All pictures, or those that are named."""
    if CHROMIUM is None:
        sys.exit("There is no Chromium here.")
    FOLDER.mkdir(parents=True, exist_ok=True)
    demo = {
        "TIDEGATE_DEMO": "1",
        "TIDEGATE_DEMO_PORT": str(free_range(6)),
        "TIDEGATE_PUBLIC_URL": "https://api.example.com",
        "NODE_NAME": "harbour-1",
    }
    with (
        tempfile.TemporaryDirectory() as folder,
        running(Path(folder), workers=2, arguments=("--migrate",), **demo) as product,
    ):
        os.environ.update(product.environment, DJANGO_SETTINGS_MODULE="gatewayproject.settings")
        import django

        django.setup()
        wait_until(lambda: product.said("sign in ") and product.said("try "), 60, product.log)
        product.wait_ready(60)
        asked = [one for one in pictures(furnish()) if not sys.argv[1:] or one.name in sys.argv[1:]]
        signed_in = {who: cookies(who) for who in {one.who for one in asked}}
        with live_traffic(product):
            made = photograph(f"http://127.0.0.1:{product.console_port}", asked, signed_in)
    sizes = {path.name: shrink(path) for path in made}
    for name, size in sizes.items():
        print(f"{size:>8,} {name}{'  TOO BIG' if size > MOST_BYTES else ''}")


if __name__ == "__main__":
    main()
