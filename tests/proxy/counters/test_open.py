"""Which store the settings open."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from proxy.counters.memory import MemoryCounters
from proxy.counters.open import open_store
from proxy.counters.redis import RedisCounters
from proxy.counters.shared import SharedCounters


def test_each_kind(tmp_path: Path) -> None:
    memory = open_store("memory")
    shared = open_store("shared", path=tmp_path / "counters")
    redis = open_store("redis", redis_url="redis://user:hunter2@127.0.0.1:1/0")
    assert isinstance(memory, MemoryCounters)
    assert isinstance(shared, SharedCounters)
    assert isinstance(redis, RedisCounters)
    assert [store.immediate for store in (memory, shared, redis)] == [True, True, False]
    assert "hunter2" not in repr(redis)
    for store in (memory, shared, redis):
        asyncio.run(store.close())


def test_missing_settings() -> None:
    with pytest.raises(ValueError, match="path"):
        open_store("shared")
    with pytest.raises(ValueError, match="address"):
        open_store("redis")
