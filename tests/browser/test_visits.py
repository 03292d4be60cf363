"""What the other tests here rely on: faults that are put into a page are found, and axe is as published."""

import hashlib
import json

import pytest
from django.urls import reverse

from tests.browser.visits import AXE, CHROMIUM, visitor


def test_axe_is_as_published():
    (package,) = json.loads(AXE.with_name("VENDOR.json").read_text())
    assert (package["name"], package["licence"]) == ("axe-core", "MPL-2.0")
    assert f"axe v{package['version']}" in AXE.read_text()[:100]
    for name, expected in package["files"].items():
        assert hashlib.sha256(AXE.with_name(name).read_bytes()).hexdigest() == expected


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here")
def test_faults_are_found(live_server):
    pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with visitor(live_server.url) as visiting:
        visiting.go(reverse("console:sign-in"), "sign in", 404)
        visiting.page.evaluate(
            """() => {
              document.querySelector("main").insertAdjacentHTML("beforeend",
                "<img src='/static/console/icon.svg'>" +
                "<table width='3000'><tr><td>wide</td></tr></table><p style='color: red'>styled</p>");
              setTimeout(() => { throw new Error("broken") });
            }"""
        )
        visiting.look()
    found = "\n".join(visiting.found)
    assert "answered 200" in found and "image-alt" in found and "px wide because of" in found
    assert "Content Security Policy" in found and "error in a script: broken" in found
