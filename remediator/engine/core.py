"""The core: journal entries in, changes out, key by key, in order. The same entries give the same bytes.

Owns routing of inputs to keys, timers, and the collection of changes. Holds the states it was given and nothing else;
a missing key must be loaded before an entry that needs it is applied (`keys_needed`).
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import msgspec

from remediator.engine import dag, feeds, world
from remediator.engine.context import Context, Effects
from remediator.engine.state import DagState, FeedState, WorldState, decode_dag_state, decode_world_state, encode_state
from remediator.model.action import Action
from remediator.model.ids import WORLD_KEY, dag_key
from remediator.model.incident import Incident
from remediator.model.inputs import (
    Activated,
    Entry,
    Fact,
    Gap,
    Looked,
    Performed,
    Pressed,
    Swept,
    Tick,
    Unmapped,
    Watermark,
)
from remediator.model.reasons import Decision
from remediator.model.time import Instant
from remediator.model.truth import DagRunRef
from remediator.rules.index import RuleSet

ENGINE_VERSION = 1
"""Raised when the same journal would give other effects: replays across versions are not comparable."""

HEAP_SLACK = 64

Timers = tuple[tuple[str, Instant], ...]
T = TypeVar("T")


class Changes(msgspec.Struct):
    """All that came of some entries: what one commit writes."""

    position: int
    states: dict[str, bytes | None]
    timers: dict[str, Timers]
    actions: list[Action]
    cancels: list[tuple[str, str]]
    incidents: list[Incident]
    decisions: list[Decision]


class Core:
    """Deterministic state machine over all keys.

    rule_set: content hash -> compiled rule set; raises KeyError if it is not known.
    """

    def __init__(self, position: int, timers: dict[str, Timers], rule_set: Callable[[str], RuleSet]) -> None:
        self.position = position
        self.world = WorldState()
        self.dags: dict[str, DagState | None] = {}
        """Loaded states; None: known to have no row."""
        self._rule_set = rule_set
        self._rules: RuleSet | None = None
        self._timers: dict[str, dict[str, Instant]] = {}
        self._heaps: dict[str, list[tuple[Instant, str]]] = {}
        self._dirty: set[str] = set()
        self._effects = Effects()
        for key, each in timers.items():
            self._set_timers(key, dict(each))

    # -- loading ----------------------------------------------------------------------------------------------

    def load(self, keys: Iterable[str], found: dict[str, bytes]) -> None:
        """Take committed states in; a key without a state is remembered as such."""
        for key in keys:
            body = found.get(key)
            if key == WORLD_KEY:
                self.world = decode_world_state(body) if body is not None else WorldState()
            else:
                self.dags[key] = decode_dag_state(body) if body is not None else None
        if WORLD_KEY in found and self.world.rule_set:
            self._rules = self._rule_set(self.world.rule_set)

    @staticmethod
    def rule_set_of(found: dict[str, bytes]) -> str:
        """The rule set that must be known before a committed world is loaded; '' for none."""
        body = found.get(WORLD_KEY)
        return decode_world_state(body).rule_set if body is not None else ""

    def keys_needed(self, entries: Sequence[Entry]) -> set[str]:
        """Every key whose state these entries can touch and that is not loaded."""
        needed: set[str] = set()
        horizon = max((entry.at for entry in entries), default=0)
        for entry in entries:
            needed.update(self._keys_of(entry, max(horizon, self.world.now)))
        return {key for key in needed if key != WORLD_KEY and key not in self.dags}

    def _keys_of(self, entry: Entry, horizon: Instant) -> Iterable[str]:
        match entry.input:
            case Fact(event=event) if event.deployment:
                return (dag_key(event.deployment, event.dag_id or ""),)
            case Looked(key=key) | Performed(key=key):
                return (key,)
            case Swept(deployment=name, dagruns=refs):
                return [dag_key(name, ref.dag_id) for ref in refs]
            case Tick():
                return self._due("now", horizon)
            case Watermark(feed=feed, complete_until=until):
                known = self.world.feeds.get(feed, FeedState()).partitions.values()
                return self._due(f"feed:{feed}", max(until, *known, 0))
            case Pressed():
                return self._due("thaw", horizon)
        return ()

    def _due(self, clock: str, until: Instant) -> list[str]:
        """Keys due on the clock, in no order. Walks only that part of the heap which is due."""
        heap, due, places = self._heaps.get(clock, []), [], [0]
        while places:
            place = places.pop()
            if place < len(heap) and heap[place][0] <= until:
                due.append(heap[place][1])
                places += (2 * place + 1, 2 * place + 2)
        return due

    def evict(self, keep: int) -> None:
        """Forget clean states beyond `keep`, the longest unused first; the store has them."""
        for key in list(self.dags)[: max(0, len(self.dags) - keep)]:
            if key not in self._dirty:
                del self.dags[key]

    # -- time -------------------------------------------------------------------------------------------------

    def next_due(self) -> Instant | None:
        """The earliest timer of the journalled now: a tick is wanted then."""
        heap = self._heaps.get("now", [])
        while heap:
            at, key = heap[0]
            if self._timers.get(key, {}).get("now") == at:
                return at
            heapq.heappop(heap)
        return None

    def _set_timers(self, key: str, timers: dict[str, Instant]) -> None:
        before = self._timers.pop(key, {})
        if timers:
            self._timers[key] = timers
        for clock, at in timers.items():
            if before.get(clock) != at:
                self._push(clock, at, key)

    def _push(self, clock: str, at: Instant, key: str) -> None:
        """A heap keeps what was replaced until it comes to the top: too much of that is thrown out at once."""
        heap = self._heaps.setdefault(clock, [])
        heapq.heappush(heap, (at, key))
        if len(heap) > HEAP_SLACK + 2 * len(self._timers):
            heap[:] = {(each[clock], name) for name, each in self._timers.items() if clock in each}
            heapq.heapify(heap)

    def _pop_due(self, clock: str, until: Instant) -> list[str]:
        """Keys due on the clock, earliest first, then by name; each once."""
        heap, due = self._heaps.get(clock, []), dict[str, None]()
        while heap and heap[0][0] <= until:
            at, key = heapq.heappop(heap)
            timers = self._timers.get(key, {})
            if timers.get(clock) == at:
                del timers[clock]  # its step sets it anew, also to the same instant
                due[key] = None
        return list(due)

    # -- applying ---------------------------------------------------------------------------------------------

    def apply(self, entries: Sequence[Entry]) -> Changes:
        """Step through the entries; all their keys must be loaded. The states held are then the new ones."""
        for entry in entries:
            self._apply(entry)
        effects, self._effects = self._effects, Effects()
        dirty, self._dirty = sorted(self._dirty), set()
        return Changes(
            position=self.position,
            states={key: self._encoded(key) for key in dirty},
            timers={key: tuple(sorted(self._timers.get(key, {}).items())) for key in dirty},
            actions=effects.actions,
            cancels=effects.cancels,
            incidents=list(effects.incidents.values()),
            decisions=effects.decisions,
        )

    def _encoded(self, key: str) -> bytes | None:
        if key == WORLD_KEY:
            return encode_state(self.world)
        state = self.dags.get(key)
        return encode_state(state) if state is not None else None

    def _apply(self, entry: Entry) -> None:
        self.position = entry.position
        if entry.at > self.world.now:
            self.world.now = entry.at
            self._dirty.add(WORLD_KEY)
        given = entry.input
        if isinstance(given, Activated):
            self._rules = self._rule_set(given.rule_set)
            self._step_world(world.on_activated, given)
            return
        if self._rules is None:
            return  # nothing can be decided before the first activation; nothing is journalled before it either
        match given:
            case Fact():
                self._on_fact(given)
            case Looked():
                self._step_dag(given.key, dag.on_looked, given)
            case Performed(key=key) if key == WORLD_KEY:
                self._step_world(world.on_performed, given)
            case Performed():
                self._step_dag(given.key, dag.on_performed, given)
            case Watermark():
                self._on_watermark(given)
            case Tick():
                self._wake(self._pop_due("now", self.world.now))
            case Pressed():
                self._on_pressed(given)
            case Swept():
                self._step_world(world.on_swept, given)
            case Gap():
                self._step_world(world.on_gap, given)
            case Unmapped():
                self._step_world(world.on_unmapped, given)

    def _on_fact(self, fact: Fact) -> None:
        event = fact.event
        if not event.deployment:
            return
        key = dag_key(event.deployment, event.dag_id or "")
        if not dag.concerns(self.dags[key], event):
            return
        if self.dags[key] is None:
            self.dags[key] = DagState(event.deployment, event.dag_id or "")
        self._step_dag(key, dag.on_fact, fact)

    def _on_watermark(self, mark: Watermark) -> None:
        self._step_world(world.on_watermark, mark)
        reached = feeds.watermark(self.world.feeds, mark.feed, self._context(WORLD_KEY).policy)
        self._wake(self._pop_due(f"feed:{mark.feed}", reached))

    def _on_pressed(self, pressed: Pressed) -> None:
        self._step_world(world.on_pressed, pressed)
        if not self.world.frozen:
            for key in self._pop_due("thaw", self.world.now):
                self._step(key, dag.on_thaw)

    def _wake(self, keys: list[str]) -> None:
        for key in keys:
            if key == WORLD_KEY:
                self._after_world(self._context(WORLD_KEY))
            else:
                self._step(key, dag.on_wake)

    def _step_dag(self, key: str, handler: Callable[[Context, DagState, T], None], given: T) -> None:
        self._step(key, lambda context, state: handler(context, state, given))

    def _step(self, key: str, handler: Callable[[Context, DagState], None]) -> None:
        state = self.dags.pop(key)
        self.dags[key] = state  # the latest used come last: eviction takes the first
        if state is None:
            return
        context = self._context(key)
        handler(context, state)
        dag.settle(context, state)
        self._set_timers(key, dag.timers(context, state))
        if state.is_empty:
            self.dags[key] = None
            self._set_timers(key, {})
        self._dirty.add(key)
        self._raise_alerts()

    def _step_world(self, handler: Callable[[Context, WorldState, T], None], given: T) -> None:
        context = self._context(WORLD_KEY)
        handler(context, self.world, given)
        self._after_world(context)

    def _raise_alerts(self) -> None:
        """Alerts that a step left are the world's to take up, before the next key steps."""
        if self._effects.alerts:
            self._after_world(self._context(WORLD_KEY))

    def _after_world(self, context: Context) -> None:
        while self._effects.alerts:
            world.on_alert(context, self.world, self._effects.alerts.pop(0))
        world.settle(context, self.world)
        self._set_timers(WORLD_KEY, world.timers(context, self.world))
        self._dirty.add(WORLD_KEY)
        nudges, self._effects.nudges = self._effects.nudges, []
        for deployment, ref in nudges:
            self._nudge(deployment, ref)

    def _nudge(self, deployment: str, ref: DagRunRef) -> None:
        key = dag_key(deployment, ref.dag_id)
        if self.dags[key] is None:
            self.dags[key] = DagState(deployment, ref.dag_id)
        self._step_dag(key, dag.on_nudge, ref)

    def _context(self, key: str) -> Context:
        if self._rules is None:
            raise LookupError("no rule set is active")
        return Context(
            key=key,
            position=self.position,
            now=self.world.now,
            rules=self._rules,
            world=self.world,
            effects=self._effects,
        )
