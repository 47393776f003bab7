"""Amazon EventBridge events (envelope version 0): EC2 and ECS and Batch by name, all others by their detail-type."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from remediator.codecs.attributes import bounded
from remediator.codecs.eventbridge_details import Told, generic, told_by
from remediator.codecs.masking import mask
from remediator.codecs.names import name, said, snake
from remediator.codecs.port import Undecodable
from remediator.codecs.reading import JsonReader, instant
from remediator.model.event import Event
from remediator.model.record import Record

VERSION = "0"


class _Envelope(msgspec.Struct, gc=False):
    version: str
    detail_type: str = msgspec.field(name="detail-type")
    source: str
    account: str
    region: str
    time: datetime | None = None
    id: str | None = None
    resources: list[str] | None = None
    detail: msgspec.Raw = msgspec.Raw(b"{}")


class EventBridgeCodec:
    """Namespace 'aws/<account>/<region>'. Subject and scope: 'instance/<id>', 'ecs_task/<cluster>/<id>', …"""

    def __init__(self) -> None:
        self._reader = JsonReader(_Envelope)
        self._any = JsonReader[Any](object)

    def decode(self, record: Record) -> list[Event]:
        """See Codec. Nobody but AWS can put an event whose source begins with 'aws.': others are read by no table."""
        if record.value is None:
            return []
        envelope = self._reader.read(self._reader.checked(record.value))
        if envelope.version != VERSION:
            found = mask(envelope.version[:40])
            raise Undecodable(f"unknown version at `$.version`: {found!r}, allowed is {VERSION}")
        detail = self._any.read(bytes(envelope.detail), "$.detail")
        teller = told_by(envelope.detail_type) if envelope.source.startswith("aws.") else None
        if teller is None or not isinstance(detail, dict):
            told = generic(f"aws.{snake(envelope.detail_type) or 'other'}", detail)
        else:
            told = teller(detail)
        return [_event(envelope, told, record)]


def _event(envelope: _Envelope, told: Told, record: Record) -> Event:
    at = instant(said(envelope.time), "$.time")
    about = {"event_id": envelope.id, "detail_type": envelope.detail_type, "resources": envelope.resources}
    table = {key: value for key, value in (about | told.attributes).items() if value not in (None, "", [])}
    return Event(
        type=told.type,
        time=record.timestamp if at is None else at,
        source=name(envelope.source) or "aws",
        namespace=name(f"aws/{envelope.account}/{envelope.region}") or "aws",
        subject=told.subject,
        started_at=instant(said(told.started_at), "$.detail.startedAt"),
        ended_at=instant(said(told.ended_at), "$.detail.stoppedAt"),
        condition=told.condition,
        attributes=bounded(table),
    )
