"""The replay: the journal and its rule sets through the core once more, and a comparison with what the store holds.

Reads a store, writes nothing. What it finds different is a bug of the engine, a store that lost something, or a
journal that was decided on by another version of the engine.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import takewhile, zip_longest

import msgspec

from remediator.engine.core import SHARED_KEYS, Changes, Core
from remediator.engine.timers import Timers
from remediator.model.action import QUESTIONS, Action
from remediator.model.incident import Incident, Phase
from remediator.model.inputs import Activated, Entry
from remediator.model.reasons import Decision
from remediator.rules.index import RuleSet
from remediator.rules.spec import decode_rule_set
from remediator.store.port import ActionRow, Store, StoreError

BATCH = 1_000
ALL_ROWS = 2**31
SHOWN = 300

_encode = msgspec.msgpack.Encoder(order="deterministic").encode


class Start(msgspec.Struct, frozen=True):
    """Where a replay begins: after `position`, with these states and timers."""

    position: int = 0
    states: dict[str, bytes] = {}
    timers: dict[str, Timers] = {}


class Replayed(msgspec.Struct, frozen=True):
    """What the entries after `start` up to `changes.position` come to; states and timers are the last of each key."""

    start: int
    entries: int
    changes: Changes


class Verdict(msgspec.Struct, frozen=True):
    """difference: '' if the store holds byte for byte what the replay gives, else the first difference in words."""

    start: int
    end: int
    decisions: int
    actions: int
    states: int
    difference: str


# -- running again ------------------------------------------------------------------------------------------------


async def find_start(store: Store) -> Start:
    """The journal's beginning, or the oldest snapshot if the beginning was pruned. Raises StoreError if neither."""
    first = await store.read_journal(0, 1)
    if not first or first[0].position == 1:
        return Start()
    found = await store.load_snapshot()
    if found is None:
        raise StoreError(f"the journal begins at position {first[0].position} and no snapshot is kept")
    position, states = found
    return Start(position, states, await store.snapshot_timers(position))


async def replay(store: Store, start: Start, end: int, batch: int = BATCH) -> Replayed:
    """Run the core over the journal's entries from `start` up to position `end`. Raises StoreError."""
    rule_sets: dict[str, RuleSet] = {}
    core = Core(start.position, dict(start.timers), rule_sets.__getitem__)
    await _provide(store, rule_sets, [core.rule_set_of(start.states)])
    core.load(SHARED_KEYS, start.states)
    total, count = _nothing(start.position), 0
    while core.position < end:
        entries = _until(await store.read_journal(core.position, batch), core.position, end)
        await _provide(store, rule_sets, (one.input.rule_set for one in entries if isinstance(one.input, Activated)))
        _add(total, core.apply(entries, start.states))
        count += len(entries)
    return Replayed(start.position, count, total)


async def _provide(store: Store, rule_sets: dict[str, RuleSet], hashes: Iterable[str]) -> None:
    for content_hash in hashes:
        if content_hash and content_hash not in rule_sets:
            body = await store.rule_set(content_hash)
            if body is None:
                raise StoreError(f"rule set {content_hash} is activated in the journal but missing in the store")
            rule_sets[content_hash] = RuleSet(decode_rule_set(body))


def _until(entries: Sequence[Entry], after: int, end: int) -> list[Entry]:
    """The entries up to `end`. Raises StoreError if one is missing: positions have no holes."""
    kept = [entry for entry in entries if entry.position <= end]
    for number, entry in enumerate(kept, start=after + 1):
        if entry.position != number:
            raise StoreError(f"journal position {number} is missing; the next is {entry.position}")
    if not kept:
        raise StoreError(f"journal positions {after + 1} to {end} are missing")
    return kept


def _nothing(position: int) -> Changes:
    return Changes(position, {}, {}, [], [], [], [])


def _add(total: Changes, more: Changes) -> None:
    """Later states and timers replace earlier ones; effects follow each other."""
    total.position = more.position
    total.states.update(more.states)
    total.timers.update(more.timers)
    total.actions += more.actions
    total.cancels += more.cancels
    total.incidents += more.incidents
    total.decisions += more.decisions


# -- comparing ----------------------------------------------------------------------------------------------------


async def verify(store: Store) -> Verdict:
    """Replay up to the committed position and compare decisions, outbox and states. Raises StoreError, also if they
    differ and somebody decided meanwhile."""
    start, committed = await find_start(store), await store.controller_start()
    replayed = await replay(store, start, committed.position)
    changes = replayed.changes
    states = await store.load_states(sorted(changes.states))
    difference = (
        await _decision_difference(store, start, changes.decisions)
        or _action_difference(changes.actions, await store.actions("", ALL_ROWS), replayed.start)
        or _incident_difference(changes.incidents, await store.incidents(open_only=False, limit=ALL_ROWS))
        or _state_difference(changes.states, states)
        or _timer_difference(changes.timers, committed.timers)
    )
    if difference and await store.controller_start() != committed:
        raise StoreError("a daemon decided meanwhile, so that nothing can be compared: stop it, or replay a backup")
    return Verdict(
        start.position,
        changes.position,
        len(changes.decisions),
        len({action.id for action in changes.actions}),
        len(changes.states),
        difference,
    )


async def _decision_difference(store: Store, start: Start, replayed: Sequence[Decision]) -> str:
    """By incident, since the store keeps stories. What retention has taken is left out."""
    told: dict[str, list[Decision]] = {}
    for decision in replayed:
        told.setdefault(decision.incident, []).append(decision)
    for incident, again in sorted(told.items()):
        stored = [one for one in await store.decisions(incident, ALL_ROWS) if one.position > start.position]
        if stored:
            again = [one for one in again if one.position >= stored[0].position]
        for one, other in zip_longest(stored, again):
            if one is None or other is None or _encode(one) != _encode(other):
                return f"decision of incident {incident or '(none)'}: {both(one, other)}"
    return ""


def _action_difference(replayed: Sequence[Action], stored: Sequence[ActionRow], start: int) -> str:
    """Every kept row must be what the replay wants. Answered questions are deleted, old rows pruned: they may lack."""
    wanted: dict[str, Action] = {}
    for action in replayed:
        wanted.setdefault(action.id, action)  # an id that comes again is left as it is in the outbox
    oldest = min((row.action.not_before for row in stored), default=0)
    kept = {row.action.id: row.action for row in stored}
    for action_id, action in wanted.items():
        held = kept.pop(action_id, None)
        if held is None and (action.kind in QUESTIONS or action.not_before < oldest):
            continue
        if held is None or _encode(held) != _encode(action):
            return f"action {action_id}: {both(held, action)}"
    if start == 0 and kept:
        return f"action {next(iter(kept))}: {both(next(iter(kept.values())), None)}"
    return ""


def _incident_difference(replayed: Sequence[Incident], stored: Sequence[Incident]) -> str:
    kept = {(one.id, one.episode): one for one in stored}
    last = {(one.id, one.episode): one for one in replayed}
    for which, incident in last.items():
        held = kept.get(which)
        if held is None and incident.phase is Phase.RESOLVED:
            continue  # pruned
        if held is None or _encode(held) != _encode(incident):
            return f"incident {incident.id} episode {incident.episode}: {both(held, incident)}"
    return ""


def _state_difference(replayed: dict[str, bytes | None], stored: dict[str, bytes]) -> str:
    changed = (key for key, body in replayed.items() if stored.get(key) != body)
    return next((f"state of {key}" for key in changed), "")


def _timer_difference(replayed: dict[str, Timers], stored: dict[str, Timers]) -> str:
    different = _timers_unlike(replayed, stored)
    return next((f"timers of {key}: {both(stored.get(key), replayed[key])}" for key in different), "")


def _timers_unlike(replayed: dict[str, Timers], stored: dict[str, Timers]) -> Iterator[str]:
    return (key for key, timers in replayed.items() if tuple(stored.get(key, ())) != timers)


def both(stored: object, replayed: object) -> str:
    """What the store holds and the replay gives, from shortly before they differ, bounded."""
    texts = ["nothing" if one is None else str(one) for one in (stored, replayed)]
    alike = takewhile(lambda pair: pair[0] == pair[1], zip(*texts, strict=False))
    begin = max(0, sum(1 for _ in alike) - SHOWN // 3)
    shown = [f"{'…' if begin else ''}{text[begin : begin + SHOWN]}" for text in texts]
    return f"the store holds {shown[0]}; the replay gives {shown[1]}"
