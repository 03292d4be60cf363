"""Sample data agree with themselves, as traffic does."""

from __future__ import annotations

import pytest
from django.core.management import CommandError, call_command

from analytics import queries
from analytics.models import RawRecord
from analytics.questions import EVERYTHING, last
from proxy.models import App, Credential, Route
from tests.analytics.traffic import sums

pytestmark = [pytest.mark.django_db, pytest.mark.database]
SMALL = {"days": 2, "routes": 20, "apps": 30, "keys": 60, "records": 300}


def test_objects_and_traffic_that_add_up(capsys):
    call_command("sample_data", **SMALL)
    assert (Route.objects.count(), App.objects.count(), Credential.objects.count()) == (20, 30, 60)
    found = sums()
    days = {name: number for name, number in found.items() if name.endswith(" 86400") and "error" not in name}
    assert set(days.values()) == {found["totals"]} and found["totals"] > 300
    assert RawRecord.objects.count() == found["total 60"] == 300
    assert found["total 3600"] == found["totals"]
    assert queries.totals(last(30 * 86_400, EVERYTHING)).count == found["totals"]
    assert "20 Routes, 30 Apps, 60 keys" in capsys.readouterr().out


def test_a_database_in_use_is_left_alone():
    App.objects.create(name="mine")
    with pytest.raises(CommandError, match="--beside"):
        call_command("sample_data", **SMALL)
    call_command("sample_data", beside=True, **SMALL)
    with pytest.raises(CommandError, match="already"):
        call_command("sample_data", beside=True, **SMALL)
