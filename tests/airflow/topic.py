"""What Airflow's OpenLineage provider has written to the topic, read from its beginning."""

from __future__ import annotations

import json
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from tests.airflow.real_airflow import PARTITIONS, TOPIC

Event = dict[str, Any]


async def lineage_of(bootstrap: str, run_id: str) -> list[Event]:
    """Every event of this dagrun that the topic holds now; those of one DAG are in order."""
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False) as consumer:
        partitions = [TopicPartition(TOPIC, number) for number in range(PARTITIONS)]
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        await consumer.seek_to_beginning(*partitions)
        found: list[Event] = []
        while any([await consumer.position(one) < ends[one] for one in partitions]):
            batches = await consumer.getmany(timeout_ms=500)
            for records in batches.values():
                found += [json.loads(record.value) for record in records if run_id.encode() in record.value]
        return found


def said(events: list[Event], job_type: str) -> list[str]:
    """The eventTypes, such as 'FAIL', of all 'TASK' or of all 'DAG' events."""
    return [event["eventType"] for event in events if event["job"]["facets"]["jobType"]["jobType"] == job_type]


def clear_numbers(events: list[Event]) -> list[int]:
    """How often the dagrun had been cleared, as every DAG event says it."""
    facets = [event["run"]["facets"] for event in events]
    return [found["airflowDagRun"]["dagRun"]["clear_number"] for found in facets if "airflowDagRun" in found]
