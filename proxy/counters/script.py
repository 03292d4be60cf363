"""The Redis script behind the counters: `proxy.counters.algorithms` once more, in Lua, line by line.

KEYS are the counters; ARGV is the time (empty: the server's), the cost, and for each key its limit: five
doubles. The answer is one string, four doubles for each key: allowed, remaining, reset, retry-after. Times
count from 2026-01-01, which leaves doubles a resolution of nanoseconds. Both sides compute in IEEE doubles in
the same order, so they agree to the last bit.
"""

from __future__ import annotations

import functools
import hashlib
import struct

from proxy.counters.algorithms import early
from proxy.counters.base import Limit, Verdict

_RULE = struct.Struct("<5d")
_ANSWER = struct.Struct("<4d")
_ORDER = ("fixed-window", "sliding-window", "gcra")

SCRIPT = """
local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = time[1] - 1767225600 + time[2] / 1000000
end

local function fixed(rule, cost, expires, previous, current)
  local left = expires - now
  if left <= 0 then
    expires, current, left = now + rule.period, 0, rule.period
  elseif left > rule.period then
    expires, left = now + rule.period, rule.period
  end
  local free = rule.amount - current - cost
  if free >= 0 then return true, free, left, 0, expires, 0, current + cost end
  return false, math.max(0, free + cost), left, left, expires, 0, current
end

local function sliding_wait(rule, cost, elapsed, previous, current)
  local free = rule.amount - cost - current
  if free >= 0 then return math.max(0, rule.period * (1 - (free + 1) / previous) - elapsed) end
  local fades = 0
  if current > 0 then fades = rule.period * (1 - (rule.amount - cost + 1) / current) end
  return rule.period - elapsed + math.max(0, fades)
end

local function sliding(rule, cost, expires, previous, current)
  local period, span = rule.period, rule.period * 2
  local elapsed = now - (expires - span)
  if expires <= now then
    expires, previous, current, elapsed = now + span, 0, 0, 0
  elseif elapsed >= period then
    expires, previous, current, elapsed = expires + period, current, 0, elapsed - period
  elseif elapsed < 0 then
    expires, elapsed = now + span, 0
  end
  local free = rule.amount - current - cost
  if previous > 0 then
    free = free - math.max(0, math.ceil(previous * (1 - elapsed / period)) - 1)
  end
  local left = period - elapsed
  if free >= 0 then return true, free, left, 0, expires, previous, current + cost end
  local wait = sliding_wait(rule, cost, elapsed, previous, current)
  return false, math.max(0, free + cost), left, wait, expires, previous, current
end

local function gcra(rule, cost, expires)
  local interval = rule.period / rule.amount
  local depth = rule.burst * interval
  local arrival = math.min(math.max(expires, now), now + depth)
  local room = now + depth - arrival + rule.early
  if cost * interval <= room then
    local after = arrival + cost * interval
    local free = math.floor((room - cost * interval) / interval)
    return true, free, after - now, 0, after, 0, 0
  end
  local wait = cost * interval - (room - rule.early)
  return false, math.floor(room / interval), arrival - now, wait, arrival, 0, 0
end

local steps = {fixed, sliding, gcra}

local function decide(hit, cost)
  hit.allowed, hit.remaining, hit.reset, hit.wait, hit.expires, hit.previous, hit.current =
    hit.step(hit.rule, cost, hit.was, hit.old_previous, hit.old_current)
end

local cost = tonumber(ARGV[2])
local hits, allowed = {}, true
for index, key in ipairs(KEYS) do
  local rule = {}
  local hit = {rule = rule, was = 0, old_previous = 0, old_current = 0}
  local algorithm
  algorithm, rule.amount, rule.period, rule.burst, rule.early = struct.unpack('<ddddd', ARGV[index + 2])
  hit.step = steps[algorithm]
  local stored = redis.call('GET', key)
  if stored then hit.was, hit.old_previous, hit.old_current = struct.unpack('<dI4I4', stored) end
  decide(hit, cost)
  allowed = allowed and hit.allowed
  hits[index] = hit
end

local answer = {}
for index, hit in ipairs(hits) do
  local keep = true
  if not allowed then
    if hit.allowed then decide(hit, 0) end
    keep = hit.was > now
  end
  if keep and hit.expires > now then
    local state = struct.pack('<dI4I4', hit.expires, hit.previous, hit.current)
    redis.call('SET', KEYS[index], state, 'PX', math.max(1, math.ceil((hit.expires - now) * 1000)))
  end
  answer[index] = struct.pack('<dddd', hit.allowed and 1 or 0, hit.remaining, hit.reset, hit.wait)
end
return table.concat(answer)
"""

SCRIPT_SHA = hashlib.sha1(SCRIPT.encode(), usedforsecurity=False).hexdigest()


def arguments(hits: list[tuple[bytes, Limit]]) -> list[bytes]:
    """What the script is told of each limit."""
    return [_packed(limit) for _, limit in hits]


def verdicts(reply: bytes) -> list[Verdict]:
    """The script's answer as verdicts, in the order of the keys."""
    return [
        Verdict(allowed > 0, int(remaining), reset, retry_after)
        for allowed, remaining, reset, retry_after in _ANSWER.iter_unpack(reply)
    ]


@functools.lru_cache(maxsize=4096)
def _packed(limit: Limit) -> bytes:
    number = 1 + _ORDER.index(limit.algorithm)
    return _RULE.pack(number, limit.amount, limit.period, limit.burst or limit.amount, early(limit))
