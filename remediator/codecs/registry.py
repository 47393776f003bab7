"""The codecs by the name that a feed's configuration uses. 'mapping' is not here: it is nothing without its paths."""

from __future__ import annotations

from collections.abc import Callable

from remediator.codecs.alertmanager import AlertmanagerCodec
from remediator.codecs.auto import AutoCodec
from remediator.codecs.cloudevents import CloudEventsCodec
from remediator.codecs.eventbridge import EventBridgeCodec
from remediator.codecs.kubernetes import KubernetesCodec
from remediator.codecs.openlineage import OpenLineageCodec
from remediator.codecs.port import Codec

CODECS: dict[str, Callable[[], Codec]] = {
    "openlineage": OpenLineageCodec,
    "cloudevents": CloudEventsCodec,
    "kubernetes": KubernetesCodec,
    "alertmanager": AlertmanagerCodec,
    "eventbridge": EventBridgeCodec,
    "auto": AutoCodec,
}
