"""Prometheus Alertmanager's webhook, version 4: each alert of a notification is one event and one condition."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from remediator.codecs.attributes import bounded
from remediator.codecs.masking import mask
from remediator.codecs.names import joined, name, said
from remediator.codecs.port import Undecodable
from remediator.codecs.reading import JsonReader, instant
from remediator.model.event import ConditionInfo, Event
from remediator.model.record import Record
from remediator.model.time import DAY, Duration, Instant

VERSION = "4"
MAX_ALERTS = 10_000
NAMESPACE = "alertmanager"
"""The namespace of alerts without a label `cluster`."""
REPEATED_WITHIN: Duration = 1 * DAY
"""Alertmanager repeats what still fires every `repeat_interval`, 4 hours by default; longer than a day is unusual."""
FIRING = "alert.firing"
_TYPES = {"firing": FIRING, "resolved": "alert.resolved"}

Labels = dict[str, str]


class _Alert(msgspec.Struct, gc=False, rename="camel"):
    status: str
    labels: Labels | None = None
    annotations: Labels | None = None
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    generator_url: str | None = msgspec.field(default=None, name="generatorURL")
    fingerprint: str | None = None


class _Message(msgspec.Struct, gc=False, rename="camel"):
    version: str
    alerts: list[_Alert]
    group_key: str | None = None
    truncated_alerts: int | None = None
    receiver: str | None = None
    external_url: str | None = msgspec.field(default=None, name="externalURL")


class AlertmanagerCodec:
    """The label `cluster` is the namespace. Subject and scope: 'alert/<alertname>' or 'alert/<alertname>/<instance>'.

    A notification is repeated while its alerts fire, with the time at which they began: the same event again, whose
    condition holds for longer.
    """

    def __init__(self) -> None:
        self._reader = JsonReader(_Message)

    def decode(self, record: Record) -> list[Event]:
        """See Codec. One undecodable alert makes the whole record so."""
        if record.value is None:
            return []
        message = self._reader.read(self._reader.checked(record.value))
        if message.version != VERSION:
            found = mask(message.version[:40])
            raise Undecodable(f"unknown version at `$.version`: {found!r}, allowed is {VERSION}")
        if len(message.alerts) > MAX_ALERTS:
            raise Undecodable(f"too many alerts: {len(message.alerts)}, at most {MAX_ALERTS} are read")
        return [_event(alert, message, index, record) for index, alert in enumerate(message.alerts)]


def _event(alert: _Alert, message: _Message, index: int, record: Record) -> Event:
    place = f"$.alerts[{index}]"
    type_ = _TYPES.get(alert.status)
    if type_ is None:
        found = mask(alert.status[:40])
        raise Undecodable(f"unknown value at `{place}.status`: {found!r}, allowed are {', '.join(_TYPES)}")
    labels = alert.labels or {}
    scope = _scope(labels, alert.fingerprint)
    started = instant(said(alert.starts_at), f"{place}.startsAt")
    ended = instant(said(alert.ends_at), f"{place}.endsAt") if type_ != FIRING else None
    at = started if type_ == FIRING else ended
    return Event(
        type=type_,
        time=record.timestamp if at is None else at,
        source="alertmanager",
        namespace=name(labels.get("cluster")) or NAMESPACE,
        subject=scope,
        started_at=started,
        ended_at=ended,
        condition=_condition(type_, scope, at, record.timestamp),
        attributes=bounded(_attributes(alert, message)),
    )


def _scope(labels: Labels, fingerprint: str | None) -> str | None:
    """By names that a person can write in a rule; the fingerprint only where an alert has no name."""
    alert, instance = labels.get("alertname") or fingerprint, labels.get("instance")
    return joined("alert", alert, instance) if instance else joined("alert", alert)


def _condition(type_: str, scope: str | None, began: Instant | None, received: Instant) -> ConditionInfo | None:
    if scope is None:
        return None
    if type_ != FIRING:
        return ConditionInfo(FIRING, scope, active=False)
    fired_for = max(0, received - began) if began is not None else 0
    return ConditionInfo(FIRING, scope, lifetime=fired_for + REPEATED_WITHIN)


def _attributes(alert: _Alert, message: _Message) -> dict[str, Any]:
    table = {
        "alertname": (alert.labels or {}).get("alertname"),
        "fingerprint": alert.fingerprint,
        "labels": alert.labels,
        "annotations": alert.annotations,
        "group_key": message.group_key,
        "receiver": message.receiver,
        "generator_url": alert.generator_url,
        "external_url": message.external_url,
        "truncated_alerts": message.truncated_alerts,
    }
    return {key: value for key, value in table.items() if value}
