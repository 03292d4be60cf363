"""The meter and the filters by themselves, on real files."""

import pytest

from consoles.live.filters import TailFilters
from consoles.live.measure import Meter, quantile
from proxy.telemetry.metrics import BOUNDS_US, BUCKETS
from proxy.telemetry.status import FILE_BYTES
from tests.analytics.traffic import record
from tests.consoles.live.console import Worker


def test_what_was_before_the_first_look_is_not_counted(data):
    worker, meter = Worker(data), Meter(data / "node" / "workers")
    worker.serve(record(api="old"))
    assert not meter.look().apis
    worker.serve(record(api="old", status=404))
    worker.serve(record(api="new", duration_us=700))
    moment = meter.look()
    assert dict(moment.apis) == {"old": 1, "new": 1} and dict(moment.classes) == {"4xx": 1, "2xx": 1}
    assert sum(moment.buckets) == 2 and moment.buckets[1] == 1
    assert not meter.look().classes
    meter.close()
    worker.close()


def test_a_worker_that_is_new_counts_from_nothing_and_a_file_made_anew_too(data):
    meter = Meter(data / "node" / "workers")
    assert not meter.look().apis  # there is not even a folder
    for _ in range(2):
        worker = Worker(data)
        worker.serve(record(api="shop"))
        assert dict(meter.look().apis) == {"shop": 1}
        worker.close()
        worker.status.path.unlink()
    meter.close()


@pytest.mark.parametrize("content", [b"", b"\0" * FILE_BYTES, b"x" * FILE_BYTES])
def test_files_that_are_none_are_left_out(data, content):
    worker = Worker(data)
    (worker.node.workers / "1.status").write_bytes(content)
    meter = Meter(worker.node.workers)
    meter.look()
    worker.serve(record(api="shop"))
    assert dict(meter.look().apis) == {"shop": 1}
    meter.close()
    worker.close()


def test_a_quantile_lies_within_its_bucket():
    buckets = [0] * BUCKETS
    assert quantile(buckets, 0.5) is None
    buckets[2] = 100
    assert BOUNDS_US[1] < quantile(buckets, 0.5) < BOUNDS_US[2]
    buckets[-1] = 1000
    assert quantile(buckets, 0.99) == BOUNDS_US[-1]


def test_filters_that_nobody_knows_are_left_out():
    hostile = "status_class=9xx&method=%27;--&api=" + "a" * 999 + "&" + "&".join("x=1" for _ in range(15))
    assert TailFilters.parse(hostile) == TailFilters(api="a" * 200)
    assert TailFilters.parse("&".join("x=1" for _ in range(5000))) == TailFilters()
    assert TailFilters(status_class="none").match(record(status=0, state=2))
