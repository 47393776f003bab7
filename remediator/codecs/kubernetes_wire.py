"""Kubernetes events on the wire: core/v1 and events.k8s.io/v1 in one shape, and the envelopes around them.

Undeclared members are skipped; every member may be missing or null; a wrong type is an error with its place.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from remediator.codecs.port import Undecodable
from remediator.codecs.reading import JsonReader

_NO_NEWS = frozenset({"DELETED", "BOOKMARK", "ERROR"})
"""Words of a watch; the API server deletes each event an hour after it happened, which is not a second happening."""


class ObjectReference(msgspec.Struct, gc=False, rename="camel"):
    """What the event is about. labels and annotations: only kubernetes-event-exporter adds them."""

    kind: str | None = None
    namespace: str | None = None
    name: str | None = None
    field_path: str | None = None
    labels: Any = None
    annotations: Any = None


class Source(msgspec.Struct, gc=False):
    component: str | None = None
    host: str | None = None


class Series(msgspec.Struct, gc=False, rename="camel"):
    count: int | None = None
    last_observed_time: datetime | None = None


class Metadata(msgspec.Struct, gc=False, rename="camel"):
    creation_timestamp: datetime | None = None
    annotations: Any = None


class KubernetesEvent(msgspec.Struct, gc=False, rename="camel"):
    """core/v1 has involvedObject, message, source, …; events.k8s.io/v1 regarding, note, deprecatedSource, …"""

    metadata: Metadata | None = None
    reason: str | None = None
    type: str | None = None
    event_time: datetime | None = None
    series: Series | None = None
    reporting_instance: str | None = None

    involved_object: ObjectReference | None = None
    message: str | None = None
    source: Source | None = None
    count: int | None = None
    first_timestamp: datetime | None = None
    last_timestamp: datetime | None = None
    reporting_component: str | None = None

    regarding: ObjectReference | None = None
    note: str | None = None
    deprecated_source: Source | None = None
    deprecated_count: int | None = None
    deprecated_first_timestamp: datetime | None = None
    deprecated_last_timestamp: datetime | None = None
    reporting_controller: str | None = None

    cluster_name: Any = None
    """Said by kubernetes-event-exporter."""


class _Envelope(msgspec.Struct, gc=False):
    """What tells the envelopes apart. Any: other programs may use these names for other things."""

    involvedObject: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET  # noqa: N815
    regarding: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    object: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    event: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    data: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    type: Any = None
    verb: Any = None
    message: Any = None
    log: Any = None
    clusterName: Any = None  # noqa: N815
    cluster_name: Any = None
    cluster: Any = None


class _Kubewatch(msgspec.Struct, gc=False):
    operation: str | None = None
    kind: str | None = None
    obj: msgspec.Raw = msgspec.Raw(b"null")


class Found(msgspec.Struct, gc=False):
    """An event's bytes, where in the record they stand, and the cluster that the envelope names ('' if none)."""

    raw: bytes
    place: str
    cluster: str


class EnvelopeReader:
    """Finds the event in a record.

    Bare: the API's own form, kubernetes-event-exporter, Fluent Bit's kubernetes_events. `{type, object}`: a watch.
    `{verb, event}`: eventrouter. `{data: {operation, kind, obj}}`: kubewatch as CloudEvent. `{message}` or `{log}`: the
    line of an exporter's output that Vector, Filebeat or Fluent Bit picked up.
    """

    def __init__(self) -> None:
        self._envelope = JsonReader(_Envelope)
        self._kubewatch = JsonReader(_Kubewatch)

    def find(self, value: bytes) -> Found | None:
        """The event; None if the record tells of something else than an event that happened. Raises Undecodable."""
        checked = self._envelope.checked(value)
        envelope = self._envelope.read(checked)
        if _is_event(envelope):
            return Found(checked, "$", _cluster(envelope))
        line = _line(envelope)
        if line is None:
            return self._wrapped(envelope, "$")
        member, text = line
        inner = self._envelope.checked(text.encode())
        inside = self._envelope.read(inner, f"$.{member}")
        cluster = _cluster(inside) or _cluster(envelope)
        if _is_event(inside):
            return Found(inner, f"$.{member}", cluster)
        found = self._wrapped(inside, f"$.{member}")
        return found and Found(found.raw, found.place, found.cluster or cluster)

    def _wrapped(self, envelope: _Envelope, place: str) -> Found | None:
        if isinstance(envelope.object, msgspec.Raw) and isinstance(envelope.type, str):
            wanted = envelope.type not in _NO_NEWS
            return Found(bytes(envelope.object), f"{place}.object", _cluster(envelope)) if wanted else None
        if isinstance(envelope.event, msgspec.Raw) and isinstance(envelope.verb, str):
            wanted = envelope.verb not in _NO_NEWS
            return Found(bytes(envelope.event), f"{place}.event", _cluster(envelope)) if wanted else None
        if isinstance(envelope.data, msgspec.Raw):
            return self._watched(bytes(envelope.data), f"{place}.data", _cluster(envelope))
        raise Undecodable(f"missing member: `{place}.involvedObject` or `{place}.regarding`, and no known envelope")

    def _watched(self, data: bytes, place: str, cluster: str) -> Found | None:
        """kubewatch also tells of pods, nodes and all else that it was told to watch."""
        said = self._kubewatch.read(data, place)
        wanted = said.kind == "Event" and said.operation != "delete"
        return Found(bytes(said.obj), f"{place}.obj", cluster) if wanted else None


def _is_event(envelope: _Envelope) -> bool:
    return envelope.involvedObject is not msgspec.UNSET or envelope.regarding is not msgspec.UNSET


def _line(envelope: _Envelope) -> tuple[str, str] | None:
    for member, text in (("message", envelope.message), ("log", envelope.log)):
        if isinstance(text, str) and text.lstrip()[:1] == "{":
            return member, text
    return None


def _cluster(envelope: _Envelope) -> str:
    for said in (envelope.clusterName, envelope.cluster_name, envelope.cluster):
        if isinstance(said, str) and said:
            return said
    return ""
