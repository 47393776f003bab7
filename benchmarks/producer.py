"""A producer in a process of its own: `python -m benchmarks.producer BOOTSTRAP TOPIC RATE SECONDS`.

Sends small CloudEvents at a steady rate; of every hundred one matches a rule, and its subject is the time of its
sending in nanoseconds.
"""

from __future__ import annotations

import asyncio
import sys
import time
from datetime import UTC, datetime

from aiokafka import AIOKafkaProducer

from benchmarks.workload import EVERY, PARTITIONS, small_event

STEP_S = 0.005


async def produce(bootstrap: str, topic: str, rate: int, seconds: float) -> int:
    """Send rate * seconds events, each when its time has come. Returns how many matched."""
    total = int(rate * seconds)
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, acks=1, enable_idempotence=False, linger_ms=0) as producer:
        begun = time.perf_counter()
        sent = []
        for number in range(total):
            if (wait := begun + number / rate - time.perf_counter()) > 0:
                await asyncio.sleep(max(wait, STEP_S))
            sent.append(await producer.send(topic, _event(number), partition=number // EVERY % PARTITIONS))
        await asyncio.gather(*sent)
    return len(range(0, total, EVERY))


def _event(number: int) -> bytes:
    return small_event(number, datetime.now(UTC), str(time.time_ns()), matches=number % EVERY == 0)


if __name__ == "__main__":
    asyncio.run(produce(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])))
