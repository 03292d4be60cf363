"""Ejection on the pages of an Upstream: its settings, and what the workers say of a Target."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.urls import reverse

from consoles.ui import node as node_files
from proxy.models import Target, Upstream
from proxy.node import NodeDir
from proxy.telemetry import status
from proxy.telemetry.metrics import Metrics
from proxy.telemetry.status import WorkerStatus
from tests.consoles.people import browser, errors_of
from tests.consoles.ui.test_changing_pages import form_data

pytestmark = [pytest.mark.django_db, pytest.mark.database]


def test_an_ejected_target_is_shown(tmp_path: Path, settings, monkeypatch: pytest.MonkeyPatch):
    settings.TIDEGATE_DATA = str(tmp_path)
    monkeypatch.setattr(node_files, "KEPT_SECONDS", 0.0)
    workers = [WorkerStatus(NodeDir(tmp_path / "node").workers / f"{slot}.status") for slot in range(2)]
    upstream = Upstream.objects.create(name="orders")
    target = Target.objects.create(upstream=upstream, host="10.0.0.7", port=80)
    url = reverse("console:upstreams-detail", args=[upstream.pk])
    client = browser("eddie")

    def page() -> str:
        for worker in workers:
            worker.beat()
        return client.get(url).content.decode()

    try:
        assert "ejected" not in page()
        metrics = [Metrics(worker) for worker in workers]
        for worker in workers:
            worker.numbers[status.STATE] = status.READY
        metrics[0].target_ejected("orders", str(target))
        assert "ejected by 1 worker<" in page()
        metrics[1].target_ejected("orders", str(target))
        assert "ejected by 2 workers<" in page()
        overview = client.get(reverse("console:overview")).content.decode()
        assert ">1 ejected<" in overview and "none is checked" not in overview
        workers[1].numbers[status.STATE] = status.STOPPED
        assert "ejected by 1 worker<" in page()
        metrics[0].target_back("orders", str(target))
        assert "ejected" not in page()
    finally:
        for worker in workers:
            worker.close()


def test_two_nested_settings_keep_apart():
    client, url = browser("eddie"), reverse("console:upstreams-create")
    data = {**form_data(client.get(url)), "name": "orders", "health_statuses": "200"}
    assert (data["outlier_failures"], data["outlier_base_seconds"], data["outlier_max_percent"]) == (
        5,
        30,
        50,
    )
    refused = errors_of(client.post(url, {**data, "outlier_statuses": "503, 404"}))
    assert "outlier_statuses" in refused and len(refused) == 1
    assert client.post(url, {**data, "outlier_failures": "0"}).status_code == 302
    row = Upstream.objects.get()
    assert row.outlier == {"failures": 0} and row.health == {"statuses": [200]}
    page = reverse("console:upstreams-detail", args=[row.pk])
    assert "after 5 failures" not in client.get(page).content.decode()
    edit = reverse("console:upstreams-edit", args=[row.pk])
    client.post(edit, {**form_data(client.get(edit)), "outlier_failures": ""})
    row.refresh_from_db()
    assert row.outlier == {}
    assert "after 5 failures" in client.get(page).content.decode()
