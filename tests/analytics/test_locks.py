"""Leases in the database."""

from __future__ import annotations

import pytest

from analytics.locks import lease
from analytics.models import TaskLock

pytestmark = [pytest.mark.django_db, pytest.mark.database]


def test_one_at_a_time_and_given_back():
    with lease("clean", 60) as first:
        assert first
        with lease("clean", 60) as second:
            assert not second
        with lease("other", 60) as other:
            assert other
    with lease("clean", 60) as third:
        assert third


def test_given_back_after_an_error():
    with pytest.raises(RuntimeError), lease("clean", 60):
        raise RuntimeError
    with lease("clean", 60) as again:
        assert again


def test_the_lease_of_a_killed_process_runs_out():
    TaskLock.objects.create(name="clean", holder="dead", until=1.0)
    with lease("clean", 60) as ours:
        assert ours


def test_whoever_lost_a_lease_does_not_give_back_the_next_ones():
    with lease("clean", -1) as late:
        assert late
        TaskLock.objects.filter(name="clean").update(holder="next", until=9e9)
    assert TaskLock.objects.get(name="clean").until == 9e9
