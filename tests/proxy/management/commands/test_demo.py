"""The demo shop is loaded once, whole and documented, and what somebody makes of it stays."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.config.publish import check_draft, live_document, live_revision
from proxy.management.commands.demo import KEY_FILE, ensure_demo
from proxy.models import Api, App, Credential, Plan

pytestmark = pytest.mark.django_db


def test_the_shop_is_whole(tmp_path: Path) -> None:
    hint = ensure_demo(tmp_path, 9000)
    key = (tmp_path / KEY_FILE).read_text().strip()
    assert hint.endswith("/shop/products/items") and f"'X-API-Key: {key}'" in hint
    assert (tmp_path / KEY_FILE).stat().st_mode & 0o777 == 0o600
    found = live_document()
    assert {plan.name: plan.approval for plan in found.plans} == {"free": "auto", "partner": "manual"}
    for api in found.apis:
        assert api.visibility == "public" and api.description and api.tags
        assert api.openapi.startswith("openapi: 3.0.3") and f"title: {api.title}" in api.openapi
    ports = [target.port for upstream in found.upstreams for target in upstream.targets]
    assert sorted(ports) == [*range(9000, 9006)]
    assert check_draft().warnings == []


def test_a_second_start_changes_nothing(tmp_path: Path) -> None:
    hint = ensure_demo(tmp_path, 9000)
    Api.objects.filter(slug="reviews").update(title="Opinions")
    Plan.objects.filter(name="free").update(title="Trial")
    number = live_revision()
    assert ensure_demo(tmp_path, 9100) == hint
    assert live_revision() == number and Credential.objects.count() == 1
    assert Api.objects.get(slug="reviews").title == "Opinions"
    assert Plan.objects.get(name="free").title == "Trial"


def test_it_stays_out_of_a_configuration_of_somebody_else(tmp_path: Path) -> None:
    Api.objects.create(slug="mine")
    assert ensure_demo(tmp_path, 9000) == ""
    assert Api.objects.count() == 1 and not App.objects.exists() and not (tmp_path / KEY_FILE).exists()
