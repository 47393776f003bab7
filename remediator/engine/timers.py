"""Timers: which key must be woken when, on which clock. A clock is 'now', 'feed:<name>', 'thaw' or 'breaker'.

Owns the heaps. Knows nothing of what a key does when it wakes; one timer per key and clock.
"""

from __future__ import annotations

import heapq

from remediator.model.time import Instant

HEAP_SLACK = 64

Timers = tuple[tuple[str, Instant], ...]


class TimerBook:
    """The timers of all keys, those that are not loaded too."""

    def __init__(self, timers: dict[str, Timers]) -> None:
        self._timers: dict[str, dict[str, Instant]] = {}
        self._heaps: dict[str, list[tuple[Instant, str]]] = {}
        for key, each in timers.items():
            self.set(key, dict(each))

    def of(self, key: str) -> Timers:
        """The key's timers, by clock."""
        return tuple(sorted(self._timers.get(key, {}).items()))

    def dags(self) -> list[str]:
        """Every DAG's key that has a timer, which is every one with a dagrun, by name."""
        return sorted(key for key in self._timers if key.startswith("dag:"))

    def set(self, key: str, timers: dict[str, Instant]) -> None:
        """Replace the key's timers."""
        before = self._timers.pop(key, {})
        if timers:
            self._timers[key] = timers
        for clock, at in timers.items():
            if before.get(clock) != at:
                self._push(clock, at, key)

    def _push(self, clock: str, at: Instant, key: str) -> None:
        """A heap keeps what was replaced until it comes to the top: too much of that is thrown out at once."""
        heap = self._heaps.setdefault(clock, [])
        heapq.heappush(heap, (at, key))
        if len(heap) > HEAP_SLACK + 2 * len(self._timers):
            heap[:] = {(each[clock], name) for name, each in self._timers.items() if clock in each}
            heapq.heapify(heap)

    def next_due(self, clock: str) -> Instant | None:
        """The earliest timer of the clock."""
        heap = self._heaps.get(clock, [])
        while heap:
            at, key = heap[0]
            if self._timers.get(key, {}).get(clock) == at:
                return at
            heapq.heappop(heap)
        return None

    def due(self, clock: str, until: Instant) -> list[str]:
        """Keys due on the clock, in no order; some may be due no more. Walks only that part of the heap."""
        heap, due, places = self._heaps.get(clock, []), [], [0]
        while places:
            place = places.pop()
            if place < len(heap) and heap[place][0] <= until:
                due.append(heap[place][1])
                places += (2 * place + 1, 2 * place + 2)
        return due

    def pop_due(self, clock: str, until: Instant) -> list[str]:
        """Keys due on the clock, earliest first, then by name; each once."""
        heap, due = self._heaps.get(clock, []), dict[str, None]()
        while heap and heap[0][0] <= until:
            at, key = heapq.heappop(heap)
            timers = self._timers.get(key, {})
            if timers.get(clock) == at:
                del timers[clock]  # its step sets it anew, also to the same instant
                due[key] = None
        return list(due)
