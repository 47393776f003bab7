"""The codecs by the name that a feed's configuration uses."""

from __future__ import annotations

from typing import Protocol

from remediator.codecs.auto import AutoCodec
from remediator.codecs.cloudevents import CloudEventsCodec
from remediator.codecs.openlineage import OpenLineageCodec
from remediator.codecs.port import MAX_RECORD_BYTES, Codec


class CodecFactory(Protocol):
    """Makes a codec that refuses records of more than `max_bytes`."""

    def __call__(self, max_bytes: int = MAX_RECORD_BYTES) -> Codec: ...


CODECS: dict[str, CodecFactory] = {
    "openlineage": OpenLineageCodec,
    "cloudevents": CloudEventsCodec,
    "auto": AutoCodec,
}
