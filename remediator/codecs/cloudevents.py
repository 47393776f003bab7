"""CloudEvents 1.x in structured JSON mode, single or as a batch: the native form for any producer's events.

Members of `data` that are named as fields of an event fill them; all others become attributes.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import msgspec

from remediator.codecs.attributes import bounded
from remediator.codecs.masking import mask
from remediator.codecs.names import event_type
from remediator.codecs.port import Undecodable
from remediator.codecs.reading import JsonReader, instant
from remediator.codecs.text import (
    ID_CHARS,
    MAX_DATASETS,
    MAX_TAGS,
    MESSAGE_CHARS,
    TRACE_CHARS,
    URL_CHARS,
    cut,
    masked_head,
    masked_tail,
)
from remediator.model.event import UNMAPPED_INDEX, ErrorInfo, Event
from remediator.model.record import Record

MAX_BATCH = 10_000

Count = Annotated[int, msgspec.Meta(ge=-1, le=2**31 - 1)]


class _Error(msgspec.Struct, gc=False):
    type: str | None = None
    message: str | None = None
    trace: str | None = None


class _Data(msgspec.Struct, gc=False):
    """The members of `data` that an event has fields for."""

    dag_id: str | None = None
    run_id: str | None = None
    task_id: str | None = None
    map_index: Count | None = None
    try_number: Count | None = None
    retries: Count | None = None
    run_type: str | None = None
    logical_date: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    clear_number: Count | None = None
    dag_version: Count | None = None
    operator: str | None = None
    owner: str | None = None
    tags: list[str] | None = None
    error: _Error | None = None
    log_url: str | None = None
    job: str | None = None
    lineage_run: str | None = None
    parent_run: str | None = None
    root_job: str | None = None
    inputs: list[str] | None = None
    outputs: list[str] | None = None


class _Envelope(msgspec.Struct, gc=False):
    specversion: str
    type: str
    source: str
    subject: str | None = None
    time: datetime | None = None
    data: msgspec.Raw = msgspec.Raw(b"null")


_NO_DATA = _Data()
_FIELDS = frozenset(_Data.__struct_fields__)


class CloudEventsCodec:
    """`source` is the namespace; an event without `time` has its record's. `data_base64` is not read."""

    def __init__(self) -> None:
        self._envelope = JsonReader(_Envelope)
        self._batch = JsonReader(list[msgspec.Raw])
        self._data = JsonReader(_Data)
        self._any = JsonReader[Any](object)

    def decode(self, record: Record) -> list[Event]:
        """See Codec. One undecodable event of a batch makes the whole record so: a record is read or it is not."""
        if record.value is None:
            return []
        checked = self._envelope.checked(record.value)
        if checked.lstrip()[:1] != b"[":
            return [self._event(checked, "$", record)]
        batch = self._batch.read(checked)
        if len(batch) > MAX_BATCH:
            raise Undecodable(f"too many events in a batch: {len(batch)}, at most {MAX_BATCH} are read")
        return [self._event(bytes(raw), f"$[{index}]", record) for index, raw in enumerate(batch)]

    def _event(self, checked: bytes, place: str, record: Record) -> Event:
        envelope = self._envelope.read(checked, place)
        if not envelope.specversion.startswith("1."):
            found = mask(envelope.specversion[:40])
            raise Undecodable(f"unknown version at `{place}.specversion`: {found!r}, allowed is 1.x")
        said, attributes = self._contents(bytes(envelope.data), f"{place}.data")
        at = instant(envelope.time, f"{place}.time")
        return _event(envelope, said, attributes, record.timestamp if at is None else at, place)

    def _contents(self, raw: bytes, place: str) -> tuple[_Data, dict[str, Any]]:
        """Members with a field, and all others."""
        if raw == b"null":
            return _NO_DATA, {}
        table = self._any.read(raw, place)
        if not isinstance(table, dict):
            return _NO_DATA, bounded({"data": table})
        others = {name: value for name, value in table.items() if name not in _FIELDS}
        return self._data.read(raw, place), bounded(others) if others else {}


def _event(envelope: _Envelope, said: _Data, attributes: dict[str, Any], at: int, place: str) -> Event:
    source = mask(envelope.source)[:ID_CHARS]
    return Event(
        type=event_type(envelope.type, f"{place}.type"),
        time=at,
        source=source,
        namespace=source,
        subject=cut(mask(envelope.subject)) if envelope.subject else None,
        dag_id=cut(said.dag_id),
        run_id=cut(said.run_id),
        task_id=cut(said.task_id),
        map_index=UNMAPPED_INDEX if said.map_index is None else said.map_index,
        try_number=said.try_number,
        retries=said.retries,
        run_type=cut(said.run_type),
        logical_date=instant(said.logical_date, f"{place}.data.logical_date"),
        started_at=instant(said.started_at, f"{place}.data.started_at"),
        ended_at=instant(said.ended_at, f"{place}.data.ended_at"),
        clear_number=said.clear_number,
        dag_version=said.dag_version,
        operator=cut(said.operator),
        owner=cut(said.owner),
        tags=_texts(said.tags, MAX_TAGS),
        error=_error(said.error) if said.error else None,
        log_url=masked_head(said.log_url, URL_CHARS) if said.log_url else None,
        job=cut(said.job),
        lineage_run=cut(said.lineage_run),
        parent_run=cut(said.parent_run),
        root_job=cut(said.root_job),
        inputs=_texts(said.inputs, MAX_DATASETS),
        outputs=_texts(said.outputs, MAX_DATASETS),
        attributes=attributes,
    )


def _texts(texts: list[str] | None, limit: int) -> tuple[str, ...]:
    return tuple(mask(text)[:ID_CHARS] for text in texts[:limit] if text) if texts else ()


def _error(said: _Error) -> ErrorInfo:
    return ErrorInfo(
        type=cut(mask(said.type)) if said.type else None,
        message=None if said.message is None else masked_head(said.message, MESSAGE_CHARS),
        trace=masked_tail(said.trace, TRACE_CHARS) if said.trace else None,
    )
