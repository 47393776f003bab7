"""The codec for topics of mixed formats: looks which format a record has and lets that codec read it."""

from __future__ import annotations

import msgspec

from remediator.codecs.alertmanager import AlertmanagerCodec
from remediator.codecs.cloudevents import CloudEventsCodec
from remediator.codecs.eventbridge import EventBridgeCodec
from remediator.codecs.kubernetes import KubernetesCodec
from remediator.codecs.openlineage import OpenLineageCodec
from remediator.codecs.port import Codec, Undecodable
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


class _OtherProbe(msgspec.Struct, gc=False, rename="camel"):
    """Only whether they are there."""

    involved_object: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    regarding: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    type: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    object: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    verb: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    event: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    alerts: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    group_key: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    detail_type: msgspec.Raw | msgspec.UnsetType = msgspec.field(default=msgspec.UNSET, name="detail-type")


class AutoCodec:
    """OpenLineage by eventType, run and job; CloudEvents by specversion or by being a JSON array; then the others.

    Kubernetes by involvedObject or regarding, or the envelope of a watch or of eventrouter; Alertmanager by alerts and
    groupKey; EventBridge by detail-type.
    """

    def __init__(self) -> None:
        self._probe = JsonReader(_Probe)
        self._openlineage = OpenLineageCodec()
        self._cloudevents = CloudEventsCodec()
        self._other_probe = JsonReader(_OtherProbe)
        self._kubernetes = KubernetesCodec()
        self._alertmanager = AlertmanagerCodec()
        self._eventbridge = EventBridgeCodec()

    def decode(self, record: Record) -> list[Event]:
        """See Codec. A record of no known format is undecodable."""
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
        return self._other(checked).decode(record)

    def _other(self, checked: bytes) -> Codec:
        """Asked last, by a probe of its own, so that it costs the formats above nothing."""
        probe = self._other_probe.read(checked)
        if _is_set(probe.involved_object) or _is_set(probe.regarding):
            return self._kubernetes
        if (_is_set(probe.object) and _is_set(probe.type)) or (_is_set(probe.event) and _is_set(probe.verb)):
            return self._kubernetes
        if _is_set(probe.alerts) and _is_set(probe.group_key):
            return self._alertmanager
        if _is_set(probe.detail_type):
            return self._eventbridge
        raise Undecodable(
            "neither OpenLineage (eventType, run, job) nor CloudEvents (specversion) nor Kubernetes (involvedObject or "
            "regarding) nor Alertmanager (alerts, groupKey) nor EventBridge (detail-type): members missing at `$`"
        )


def _is_set(member: object) -> bool:
    return member is not msgspec.UNSET
