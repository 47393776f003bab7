"""The codec for topics of mixed formats: looks which format a record has and lets that codec read it."""

from __future__ import annotations

import msgspec

from remediator.codecs.cloudevents import CloudEventsCodec
from remediator.codecs.openlineage import OpenLineageCodec
from remediator.codecs.port import MAX_RECORD_BYTES, Undecodable
from remediator.codecs.reading import JsonReader
from remediator.model.event import Event
from remediator.model.record import Record

_HEAD_BYTES = 256
"""Where CloudEvents usually say what they are: a guess that saves a vain attempt, and decides nothing."""


class _Probe(msgspec.Struct, gc=False, rename="camel"):
    """Only whether they are there."""

    event_type: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    run: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    job: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    specversion: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class AutoCodec:
    """OpenLineage by eventType, run and job; CloudEvents by specversion or by being a JSON array."""

    def __init__(self, max_bytes: int = MAX_RECORD_BYTES) -> None:
        self._probe = JsonReader(_Probe, max_bytes)
        self._openlineage = OpenLineageCodec(max_bytes)
        self._cloudevents = CloudEventsCodec(max_bytes)

    def decode(self, record: Record) -> list[Event]:
        """See Codec. A record of neither format is undecodable."""
        if record.value is None:
            return []
        checked = self._probe.checked(record.value)
        if checked.find(b"specversion", 0, _HEAD_BYTES) < 0:
            events = self._openlineage.run_event(checked)
            if events is not None:
                return events
        if checked.lstrip()[:1] == b"[":
            return self._cloudevents.decode(record)
        probe = self._probe.read(checked)
        if probe.specversion is not msgspec.UNSET:
            return self._cloudevents.decode(record)
        if msgspec.UNSET not in (probe.event_type, probe.run, probe.job):
            return self._openlineage.decode(record)
        raise Undecodable(
            "neither OpenLineage (eventType, run, job) nor CloudEvents (specversion): members missing at `$`"
        )
