"""Journal inputs: every influence on a decision, in the one order in which it counts.

Owns their encoding. Anything that the engine needs to know and that is not here does not influence it.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from remediator.model.event import Event
from remediator.model.outcome import Delivered, Refused, Unknown
from remediator.model.record import Origin
from remediator.model.time import Instant
from remediator.model.truth import DagRunRef, DagRunTruth, Finding


class Fact(msgspec.Struct, frozen=True, tag="fact", omit_defaults=True):
    """An event that the controller needs, with the rules of `rule_set` that it met (a match) or none.

    origin: the record that said it, for people only: no decision reads it.
    """

    event: Event
    rules: tuple[str, ...] = ()
    rule_set: str = ""
    origin: Origin | None = None


class Watermark(msgspec.Struct, frozen=True, tag="watermark", omit_defaults=True):
    """One partition is read up to event time `complete_until`; `partitions` is how many the topic has.

    at_head: the position had reached the high-water mark, so that nothing older can still be in the broker.
    """

    feed: str
    topic: str
    partition: int
    partitions: int
    complete_until: Instant
    at_head: bool


class Gap(msgspec.Struct, frozen=True, tag="gap", omit_defaults=True):
    """The broker no longer has offsets first..last of a partition; what they said happened after `since`."""

    feed: str
    topic: str
    partition: int
    first: int
    last: int
    since: Instant


class Unmapped(msgspec.Struct, frozen=True, tag="unmapped", omit_defaults=True):
    """Events of a namespace and topic that no deployment, or more than one, claims."""

    feed: str
    namespace: str
    topic: str
    claimed_by: tuple[str, ...] = ()
    count: int = 1


class Looked(msgspec.Struct, frozen=True, tag="looked", omit_defaults=True):
    """The answer to a look: a truth, or why there is none (`error`)."""

    action_id: str
    key: str
    run_id: str
    truth: DagRunTruth | None = None
    error: str = ""


class Swept(msgspec.Struct, frozen=True, tag="swept", omit_defaults=True):
    """The reconciler's answer: dagrun with failures that changed in [since, until], or why there is none."""

    action_id: str
    deployment: str
    since: Instant
    until: Instant
    dagruns: tuple[DagRunRef, ...] = ()
    error: str = ""


class Surveyed(msgspec.Struct, frozen=True, tag="surveyed", omit_defaults=True):
    """All that a survey found to be wrong now, or why there is no answer."""

    action_id: str
    deployment: str
    findings: tuple[Finding, ...] = ()
    error: str = ""


class Tailed(msgspec.Struct, frozen=True, tag="tailed", omit_defaults=True):
    """The end of a log, masked and bounded; '' with `error` if there is none to be had."""

    action_id: str
    key: str
    text: str = ""
    error: str = ""


class Previewed(msgspec.Struct, frozen=True, tag="previewed", omit_defaults=True):
    """What a change would do now, masked and bounded; '' with `error` if nobody can say.

    affects: task instances that it would touch; 0: none, or nobody knows. refused: why it would be refused, '' if not.
    """

    action_id: str
    key: str
    text: str = ""
    affects: int = 0
    refused: str = ""
    error: str = ""


class Reported(msgspec.Struct, frozen=True, tag="reported", omit_defaults=True):
    """A report as people read it, bounded: one line, and the whole; '' with `error` if there is none to be had."""

    action_id: str
    summary: str = ""
    text: str = ""
    error: str = ""


Answer = Looked | Swept | Surveyed | Tailed | Previewed | Reported
"""What questions are answered with."""


class Performed(msgspec.Struct, frozen=True, tag="performed", omit_defaults=True):
    """The outcome of an action that is not a question.

    proved: it was found out by looking, not by doing it: the store came from a backup that still held the action.
    """

    action_id: str
    key: str
    kind: str
    outcome: Delivered | Refused | Unknown
    proved: bool = False


class Tick(msgspec.Struct, frozen=True, tag="tick"):
    """Time passed. The entry's own `at` says to when."""


class Activated(msgspec.Struct, frozen=True, tag="activated"):
    """From here on the rule set with this content hash decides."""

    rule_set: str


class Pressed(msgspec.Struct, frozen=True, tag="pressed", omit_defaults=True):
    """A person's command.

    command: 'freeze' | 'thaw', 'restored' for a store that came from a backup and so starts frozen, or 'approve' |
    'reject' of the proposal `subject` at `key`. actions: of 'restored', how many unfinished ones the outbox held.
    """

    actor: str
    command: str
    reason: str = ""
    subject: str = ""
    key: str = ""
    actions: int = 0


Input = (
    Fact | Watermark | Gap | Unmapped | Looked | Swept | Surveyed | Tailed | Previewed | Reported | Performed | Tick
    | Activated | Pressed
)  # fmt: skip


class Entry(msgspec.Struct, frozen=True):
    """One input at its journal position. `at` is the writer's clock when it was written."""

    position: int
    at: Instant
    input: Input


_encoder = msgspec.msgpack.Encoder(order="deterministic")
_decoder = msgspec.msgpack.Decoder(list[Input])


def encode_inputs(inputs: Sequence[Input]) -> bytes:
    """Inputs -> the body of one journal row."""
    return _encoder.encode(inputs)


def decode_inputs(body: bytes) -> list[Input]:
    """The body of one journal row -> its inputs. Raises msgspec.DecodeError."""
    return _decoder.decode(body)
