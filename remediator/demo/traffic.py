"""The way from the fleet to the broker, as roads are: some records come twice, some late, some are garbage.

Owns the bounded queue in between. What finds it full is dropped and counted: the sweep finds what it said.
"""

from __future__ import annotations

import asyncio

from aiokafka import AIOKafkaProducer

QUEUE_LIMIT = 5_000
TWICE_EVERY = 37
LATE_EVERY = 53
LATE_BY_S = 3.0
GARBAGE_EVERY = 71
GARBAGE = (
    b"not json at all",
    b'{"eventType": "FAIL", "run": {',
    b"\xff\xfe\x00 half a picture",
    b'{"eventType": "EXPLODED", "run": {"runId": "1"}, "job": {"name": "x"}}',
)

Record = tuple[bytes | None, bytes]
"""(key, value)"""


class Traffic:
    """Counts what it sends: `sent` records, of them `twice`, `late` and `garbage`; `dropped` never left."""

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self._waiting: asyncio.Queue[Record] = asyncio.Queue(QUEUE_LIMIT)
        self._emitted = 0
        self.sent = 0
        self.twice = 0
        self.late = 0
        self.garbage = 0
        self.dropped = 0
        self.is_open = True

    @property
    def under_way(self) -> int:
        """Records that were emitted and not handed to the broker's client yet."""
        return self._emitted + self.twice + self.garbage - self.dropped - self.sent

    def emit(self, deployment: str, key: bytes, value: bytes) -> None:
        """Take an event from the fleet; returns at once."""
        if not self.is_open:
            return
        self._emitted += 1
        number = self._emitted
        if number % LATE_EVERY == 0:
            self.late += 1
            asyncio.get_running_loop().call_later(LATE_BY_S, self._put, (key, value))
        else:
            self._put((key, value))
        if number % TWICE_EVERY == 0:
            self.twice += 1
            self._put((key, value))
        if number % GARBAGE_EVERY == 1:
            self._put((None, GARBAGE[self.garbage % len(GARBAGE)]))
            self.garbage += 1

    async def deliver(self, producer: AIOKafkaProducer) -> None:
        """Send what was emitted, until cancelled."""
        while True:
            key, value = await self._waiting.get()
            await producer.send(self._topic, key=key, value=value)
            self.sent += 1

    def _put(self, record: Record) -> None:
        try:
            self._waiting.put_nowait(record)
        except asyncio.QueueFull:
            self.dropped += 1
