"""Kubernetes events (core/v1 and events.k8s.io/v1) as exporters send them, into events and conditions."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from remediator.codecs.attributes import bounded
from remediator.codecs.kubernetes_reasons import Meaning, meaning_of, waiting_for
from remediator.codecs.kubernetes_wire import EnvelopeReader, KubernetesEvent, Metadata, ObjectReference, Series, Source
from remediator.codecs.names import joined, name, said
from remediator.codecs.port import Undecodable
from remediator.codecs.reading import JsonReader, instant
from remediator.model.event import ConditionInfo, Event
from remediator.model.record import Record

NAMESPACE = "kubernetes"
"""The namespace of events whose exporter names no cluster."""
_CONTAINER = re.compile(r"spec\.(?:initC|ephemeralC|c)ontainers\{([^{}]{1,253})\}")
_ASSIGNED = re.compile(r" to ([a-z0-9.\-]{1,253})$")
_NO_METADATA = Metadata()
_NO_SOURCE = Source()
_NO_SERIES = Series()


class KubernetesCodec:
    """The cluster's name is the namespace. Subject and scope: 'node/<name>', 'pod/<namespace>/<name>', …"""

    def __init__(self) -> None:
        self._envelopes = EnvelopeReader()
        self._reader = JsonReader(KubernetesEvent)

    def decode(self, record: Record) -> list[Event]:
        """See Codec. What a watch says of the end of an event object, and other objects, give no events."""
        if record.value is None:
            return []
        found = self._envelopes.find(record.value)
        if found is None:
            return []
        wire = self._reader.read(found.raw, found.place)
        about = wire.involved_object or wire.regarding
        if about is None:
            raise Undecodable(f"missing member: `{found.place}.involvedObject` or `{found.place}.regarding`")
        cluster = found.cluster or (wire.cluster_name if isinstance(wire.cluster_name, str) else "")
        return [_event(wire, about, cluster, found.place, record)]


def _event(wire: KubernetesEvent, about: ObjectReference, cluster: str, place: str, record: Record) -> Event:
    message = wire.message or wire.note or ""
    reason = wire.reason or ""
    meaning = meaning_of(about.kind or "", reason, message)
    subject = _subject(about)
    at = instant(_moment(wire), f"{place}.lastTimestamp")
    return Event(
        type=meaning.type,
        time=record.timestamp if at is None else at,
        source="kubernetes",
        namespace=name(cluster) or NAMESPACE,
        subject=subject,
        condition=_condition(meaning, subject),
        attributes=bounded(_attributes(wire, about, meaning, cluster)),
    )


def _subject(about: ObjectReference) -> str | None:
    kind = (about.kind or "").lower()
    if kind == "node" or not about.namespace:
        return joined(kind, about.name)
    return joined(kind, about.namespace, about.name)


def _condition(meaning: Meaning, scope: str | None) -> ConditionInfo | None:
    if not meaning.condition or scope is None:
        return None
    return ConditionInfo(meaning.condition, scope, meaning.active, meaning.lifetime)


def _moment(wire: KubernetesEvent) -> datetime | None:
    """When it last happened: repeats change the last time only, and the new API leaves the old members null."""
    series, metadata = wire.series or _NO_SERIES, wire.metadata or _NO_METADATA
    moments = (
        wire.last_timestamp,
        wire.deprecated_last_timestamp,
        series.last_observed_time,
        wire.event_time,
        wire.first_timestamp,
        wire.deprecated_first_timestamp,
        metadata.creation_timestamp,
    )
    return next((moment for moment in moments if said(moment) is not None), None)


def _attributes(wire: KubernetesEvent, about: ObjectReference, meaning: Meaning, cluster: str) -> dict[str, Any]:
    message = wire.message or wire.note
    source = wire.source or wire.deprecated_source or _NO_SOURCE
    metadata = wire.metadata or _NO_METADATA
    container = _CONTAINER.fullmatch(about.field_path or "")
    table = {
        "cluster": cluster,
        "kind": about.kind,
        "kubernetes_namespace": about.namespace,
        "pod": about.name if about.kind == "Pod" else None,
        "node": _node(wire, about, source),
        "container": container[1] if container else None,
        "reason": wire.reason,
        "waiting": waiting_for(meaning, wire.reason or "", message or ""),
        "message": message,
        "severity": wire.type,
        "count": wire.count or (wire.series or _NO_SERIES).count or wire.deprecated_count,
        "component": source.component or wire.reporting_component or wire.reporting_controller,
        "labels": about.labels if isinstance(about.labels, dict) else None,
        "annotations": about.annotations if isinstance(about.annotations, dict) else None,
        "event_annotations": metadata.annotations if isinstance(metadata.annotations, dict) else None,
    }
    return {key: value for key, value in table.items() if value}


def _node(wire: KubernetesEvent, about: ObjectReference, source: Source) -> str | None:
    """The node it happened on: the object itself, the kubelet that says so, or the one the scheduler chose."""
    if about.kind == "Node":
        return about.name
    if source.host:
        return source.host
    if (wire.reporting_component or wire.reporting_controller) == "kubelet":
        return wire.reporting_instance
    assigned = _ASSIGNED.search(wire.message or wire.note or "") if wire.reason == "Scheduled" else None
    return assigned[1] if assigned else None
