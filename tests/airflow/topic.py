"""What Airflow's OpenLineage provider has written to the topic, read from its beginning."""

from __future__ import annotations

import json
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from tests.airflow.real_airflow import PARTITIONS, TOPIC

Said = tuple[str, str]
"""(jobType such as 'TASK', eventType such as 'FAIL')"""


async def lineage_of(bootstrap: str, run_id: str) -> list[Said]:
    """Every event of this dagrun that the topic holds now."""
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False) as consumer:
        partitions = [TopicPartition(TOPIC, number) for number in range(PARTITIONS)]
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        await consumer.seek_to_beginning(*partitions)
        said: list[Said] = []
        while any([await consumer.position(one) < ends[one] for one in partitions]):
            batches = await consumer.getmany(timeout_ms=500)
            for records in batches.values():
                said += [_said(json.loads(record.value)) for record in records if run_id.encode() in record.value]
        return said


def _said(event: dict[str, Any]) -> Said:
    return event["job"]["facets"]["jobType"]["jobType"], event["eventType"]
