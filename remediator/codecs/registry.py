"""The codecs by the name that a feed's configuration uses."""

from __future__ import annotations

from collections.abc import Callable

from remediator.codecs.auto import AutoCodec
from remediator.codecs.cloudevents import CloudEventsCodec
from remediator.codecs.openlineage import OpenLineageCodec
from remediator.codecs.port import Codec

CODECS: dict[str, Callable[[], Codec]] = {
    "openlineage": OpenLineageCodec,
    "cloudevents": CloudEventsCodec,
    "auto": AutoCodec,
}
"""Name -> factory. Each factory also takes `max_bytes`, the largest record that is read."""
