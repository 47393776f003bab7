"""What a rule says, as values. Written by the loader, compiled by the index, carried in the journal's rule sets."""

from __future__ import annotations

from typing import Any

import msgspec

from remediator.model.policy import Budget, Mode, Policy
from remediator.model.time import MINUTE, SECOND, Duration


class Backoff(msgspec.Struct, frozen=True, omit_defaults=True):
    """Wait before attempt n: initial * factor^(n-1), at most max, spread by +-jitter (a share)."""

    initial: Duration = 30 * SECOND
    factor: float = 2.0
    max: Duration = 10 * MINUTE
    jitter: float = 0.2


class Step(msgspec.Struct, frozen=True, omit_defaults=True):
    """One step of a response. action: 'page' | 'notify' | 'log', whose `to` names a route, or a kind of change.

    params: the keys that are the action's own, such as a pool and its slots; texts in it are templates.
    undo_after: how long what was changed stays so; 0: it is not undone.
    wait: from when the step's turn has come until it is done. condition: a `where` table; the step is left out unless
    it says yes. text: a template for what people read. max_attempts, backoff, verify: of actions that change something.
    """

    action: str
    to: str = ""
    params: dict[str, Any] = {}
    undo_after: Duration = 0
    wait: Duration = 0
    condition: dict[str, Any] = {}
    text: str = ""
    max_attempts: int = 1
    backoff: Backoff = Backoff()
    verify: Duration = 20 * MINUTE


class Selector(msgspec.Struct, frozen=True, omit_defaults=True):
    """Which events: their types and a `where` table."""

    on: tuple[str, ...]
    where: dict[str, Any] = {}


class Window(msgspec.Struct, frozen=True, omit_defaults=True):
    """At least so many of the rule's matches at once within a sliding length of event time.

    distinct: count different values of this field instead of matches.
    of, ratio: the rule's matches are at least this share of the matches of `of` (those that both meet count in both).
    min_sample: matches of `of` below which a ratio says nothing.
    """

    length: Duration
    at_least: int = 1
    distinct: str = ""
    of: Selector | None = None
    ratio: float = 0.0
    min_sample: int = 1


class Sequence(msgspec.Struct, frozen=True):
    """Events that come one after the other by event time, the last less than `within` after the first."""

    within: Duration
    steps: tuple[Selector, ...]


class Compound(msgspec.Struct, frozen=True):
    """Firings of `need` different rules of these, the last less than `within` after the first."""

    within: Duration
    rules: tuple[str, ...]
    need: int


class Period(msgspec.Struct, frozen=True, omit_defaults=True):
    """A weekly recurring time: from `begin` to before `end` (minutes of the local day; end <= begin: over midnight).

    days: weekdays on which it begins, Monday 0; empty: every day.
    """

    begin: int = 0
    end: int = 24 * 60
    days: tuple[int, ...] = ()
    timezone: str = "UTC"


class During(msgspec.Struct, frozen=True, omit_defaults=True):
    """A condition of infrastructure that holds, or ended less than `grace` before, at the event's time.

    scope: a template over the event, such as 'node/{event.attributes.node}'; '' for any scope.
    """

    condition: str
    scope: str = ""
    grace: Duration = 0


class Rule(msgspec.Struct, frozen=True, omit_defaults=True):
    """One `[[rule]]`, its defaults, definitions and parameters filled in. `file`, `line` say where.

    where: the table as written, values still of TOML's types.
    per: fields whose values are the key of the rule's state. group: fields whose values are the incident's identity;
    empty: as `per`, or the usual ones. ended_by: events that end what the rule says (same `per`, else same group).
    hold_for, cool_down, once_within, window, sequence, compound: what makes a rule a detector (see `is_detector`).
    """

    id: str
    on: tuple[str, ...] = ()
    summary: str = ""
    title: str = ""
    documentation: str = ""
    owner: str = ""
    severity: str = "warning"
    labels: dict[str, str] = {}
    mode: Mode = Mode.OBSERVE
    priority: int = 50
    where: dict[str, Any] = {}
    per: tuple[str, ...] = ()
    group: tuple[str, ...] = ()
    window: Window | None = None
    sequence: Sequence | None = None
    compound: Compound | None = None
    hold_for: Duration = 0
    cool_down: Duration = 0
    once_within: Duration = 0
    ended_by: Selector | None = None
    active: tuple[Period, ...] = ()
    quiet: tuple[Period, ...] = ()
    during: tuple[During, ...] = ()
    not_during: tuple[During, ...] = ()
    budget: tuple[Budget, ...] = ()
    do: tuple[Step, ...] = ()
    otherwise: tuple[Step, ...] = ()
    on_resolve: tuple[Step, ...] = ()
    runbook: str = ""
    file: str = ""
    line: int = 0

    @property
    def is_detector(self) -> bool:
        """Does it keep state over events? If not, every match is a firing."""
        stateful = self.window or self.sequence or self.compound
        return bool(stateful or self.hold_for or self.cool_down or self.once_within)


class RuleSetSpec(msgspec.Struct, frozen=True):
    """All rules loaded together and the policy they run under: the unit of activation, hashing and replay."""

    rules: tuple[Rule, ...]
    policy: Policy


_encoder = msgspec.msgpack.Encoder(order="deterministic")
_decoder = msgspec.msgpack.Decoder(RuleSetSpec)


def encode_rule_set(spec: RuleSetSpec) -> bytes:
    """The bytes that the content hash is of and that the store keeps."""
    return _encoder.encode(spec)


def decode_rule_set(body: bytes) -> RuleSetSpec:
    """The inverse of encode_rule_set. Raises msgspec.DecodeError."""
    return _decoder.decode(body)
