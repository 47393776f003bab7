"""The codecs by the name that a feed's configuration uses. 'mapping' is not here: it is nothing without its paths."""

from __future__ import annotations

from typing import Protocol

from remediator.codecs.alertmanager import AlertmanagerCodec
from remediator.codecs.auto import AutoCodec
from remediator.codecs.cloudevents import CloudEventsCodec
from remediator.codecs.eventbridge import EventBridgeCodec
from remediator.codecs.kubernetes import KubernetesCodec
from remediator.codecs.openlineage import OpenLineageCodec
from remediator.codecs.port import MAX_RECORD_BYTES, Codec


class CodecFactory(Protocol):
    """Makes a codec that refuses records of more than `max_bytes`."""

    def __call__(self, max_bytes: int = MAX_RECORD_BYTES) -> Codec: ...


CODECS: dict[str, CodecFactory] = {
    "openlineage": OpenLineageCodec,
    "cloudevents": CloudEventsCodec,
    "kubernetes": KubernetesCodec,
    "alertmanager": AlertmanagerCodec,
    "eventbridge": EventBridgeCodec,
    "auto": AutoCodec,
}
