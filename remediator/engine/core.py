"""The core: journal entries in, changes out, key by key, in order. The same entries give the same bytes.

Owns the order of steps and the collection of changes. What an input means for which key is routing's. Holds the states
it was given and nothing else; where a step needs a key that is not loaded it stops and says so.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from remediator.engine import dag, detector, feeds, keys, ledger, reports, restore, routing, surveys, waking, world
from remediator.engine.context import Context, Effects
from remediator.engine.detector_state import DetectorState
from remediator.engine.ledger_state import LedgerState
from remediator.engine.routing import Message
from remediator.engine.saved import (
    decode_conditions_state,
    decode_key_state,
    decode_ledger_state,
    decode_world_state,
    encode_state,
)
from remediator.engine.state import ConditionsState, FeedState, KeyState, State, WorldState
from remediator.engine.timers import TimerBook, Timers
from remediator.model.action import Action
from remediator.model.ids import CONDITIONS_KEY, LEDGER_KEY, WORLD_KEY, dag_key
from remediator.model.incident import Incident
from remediator.model.inputs import (
    Activated,
    Entry,
    Fact,
    Gap,
    Looked,
    Performed,
    Pressed,
    Previewed,
    Reported,
    Surveyed,
    Swept,
    Tailed,
    Tick,
    Unmapped,
    Watermark,
)
from remediator.model.reasons import Decision
from remediator.model.time import Instant
from remediator.rules.index import RuleSet

SHARED_KEYS = (WORLD_KEY, LEDGER_KEY, CONDITIONS_KEY)
"""Keys that every step may read: loaded first, and always held."""


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
    saves: whether `Changes.states` is wanted, which costs about a third of the work.
    Use: `take` entries, `load` what `advance` asks for until it asks for nothing, `collect` the changes.
    """

    def __init__(
        self, position: int, timers: dict[str, Timers], rule_set: Callable[[str], RuleSet], *, saves: bool = True
    ) -> None:
        self.position = position
        self._saves = saves
        self.world = WorldState()
        self.ledger = LedgerState()
        self.conditions = ConditionsState()
        self.states: dict[str, KeyState | None] = {}
        """Loaded states; None: known to have no row."""
        self._rule_set = rule_set
        self._rules: RuleSet | None = None
        self._timers = TimerBook(timers)
        self._dirty: set[str] = set()
        self._effects = Effects()
        self._inbox: deque[Entry] = deque()
        self._queue: deque[Message] = deque()

    # -- loading ----------------------------------------------------------------------------------------------

    def load(self, keys: Iterable[str], found: Mapping[str, bytes]) -> None:
        """Take committed states in; a key without a state is remembered as such."""
        for key in keys:
            body = found.get(key)
            if key in SHARED_KEYS:
                self._load_shared(key, body)
            else:
                self.states[key] = decode_key_state(key, body) if body is not None else None

    def _load_shared(self, key: str, body: bytes | None) -> None:
        if key == LEDGER_KEY:
            self.ledger = decode_ledger_state(body) if body is not None else LedgerState()
        elif key == CONDITIONS_KEY:
            self.conditions = decode_conditions_state(body) if body is not None else ConditionsState()
        else:
            self.world = decode_world_state(body) if body is not None else WorldState()
            if self.world.rule_set:
                self._rules = self._rule_set(self.world.rule_set)

    @staticmethod
    def rule_set_of(found: Mapping[str, bytes]) -> str:
        """The rule set that must be known before a committed world is loaded; '' for none."""
        body = found.get(WORLD_KEY)
        return decode_world_state(body).rule_set if body is not None else ""

    def evict(self, keep: int) -> None:
        """Forget clean states beyond `keep`, the longest unused first; the store has them."""
        for key in list(self.states)[: max(0, len(self.states) - keep)]:
            if key not in self._dirty:
                del self.states[key]

    def next_due(self, clock: str = "now") -> Instant | None:
        """The earliest timer of a clock. When the journalled now reaches its own, a tick is wanted."""
        return self._timers.next_due(clock)

    # -- entries in, changes out --------------------------------------------------------------------------------

    def apply(self, entries: Sequence[Entry], states: Mapping[str, bytes] | None = None) -> Changes:
        """Step through the entries, for callers who have all states that are not loaded at hand."""
        self.take(entries)
        while missing := self.advance():
            self.load(sorted(missing), states or {})
        return self.collect()

    def take(self, entries: Sequence[Entry]) -> None:
        """Entries to step through, after those taken before."""
        self._inbox.extend(entries)

    def advance(self) -> set[str]:
        """Step on. Returns the keys that must be loaded before it can go further; none: all is done."""
        if missing := self._foreseen():
            return missing
        while True:
            while self._queue:
                if self._queue[0].key not in self.states:
                    return {message.key for message in self._queue if message.key not in self.states}
                self._step(self._queue.popleft())
            if not self._inbox:
                return set()
            self._begin(self._inbox.popleft())

    def collect(self) -> Changes:
        """What came of all entries taken. The states held are then the new ones."""
        effects, self._effects = self._effects, Effects()
        dirty, self._dirty = sorted(self._dirty), set()
        return Changes(
            position=self.position,
            states={key: self._encoded(key) for key in dirty} if self._saves else {},
            timers={key: self._timers.of(key) for key in dirty},
            actions=effects.actions,
            cancels=effects.cancels,
            incidents=list(effects.incidents.values()),
            decisions=effects.decisions,
        )

    def _encoded(self, key: str) -> bytes | None:
        state = self._state(key)
        return encode_state(state) if state is not None else None

    def _state(self, key: str) -> State | None:
        shared: dict[str, State] = {WORLD_KEY: self.world, LEDGER_KEY: self.ledger, CONDITIONS_KEY: self.conditions}
        return shared[key] if key in shared else self.states.get(key)

    # -- which keys -----------------------------------------------------------------------------------------------

    def _foreseen(self) -> set[str]:
        """Keys that the waiting entries will need as far as they tell, so that they are loaded in one go."""
        horizon = max((entry.at for entry in self._inbox), default=0)
        needed: set[str] = set()
        for entry in self._inbox:
            needed.update(self._keys_of(entry, max(horizon, self.world.now)))
        return {key for key in needed if key not in SHARED_KEYS and key not in self.states}

    def _keys_of(self, entry: Entry, horizon: Instant) -> Iterable[str]:
        match entry.input:
            case Fact(event=event) if event.deployment:
                return (dag_key(event.deployment, event.dag_id or ""),)
            case Looked(key=key) | Performed(key=key) | Tailed(key=key) | Previewed(key=key):
                return (key,)
            case Swept(deployment=name, dagruns=refs):
                return [dag_key(name, ref.dag_id) for ref in refs]
            case Tick():
                return self._timers.due("now", horizon)
            case Watermark(feed=feed, complete_until=until):
                known = self.world.feeds.get(feed, FeedState()).partitions.values()
                return self._timers.due(f"feed:{feed}", max(until, *known, 0))
            case Pressed(command="restored"):
                return self._timers.dags()
            case Pressed():
                return self._timers.due("thaw", horizon)
        return ()

    # -- steps ----------------------------------------------------------------------------------------------------

    def _begin(self, entry: Entry) -> None:
        self.position = entry.position
        if entry.at > self.world.now:
            self.world.now = entry.at
            self._dirty.add(WORLD_KEY)
        given = entry.input
        if isinstance(given, Activated):
            self._rules = self._rule_set(given.rule_set)
            self._step_world(world.on_activated, given)
            self._queue.extend(Message(key, dag.on_activated) for key in ledger.keys_under_way(self.ledger))
        elif self._rules is not None:  # nothing can be decided before the first activation
            self._dispatch(given)

    def _dispatch(self, given: Any) -> None:
        match given:
            case Fact(event=event) if event.deployment:
                key = dag_key(event.deployment, event.dag_id or "")
                state = self.states[key]
                self._queue.extend(routing.of_fact(self._context(key), given, state))
                self._take_touched()
            case Looked(key=key):
                self._queue.append(Message(key, lambda context, state: dag.on_looked(context, state, given)))
            case Performed(key=key) if key == WORLD_KEY:
                self._step_world(world.on_performed, given)
            case Performed(key=key):
                self._queue.append(Message(key, lambda context, state: dag.on_performed(context, state, given)))
            case Watermark(feed=feed):
                self._step_world(world.on_watermark, given)
                reached = feeds.watermark(self.world.feeds, feed, self._context(WORLD_KEY).policy)
                self._wake(self._timers.pop_due(f"feed:{feed}", reached))
            case Tick():
                self._wake(self._timers.pop_due("now", self.world.now))
            case Pressed(command="approve" | "reject", key=key) if key == WORLD_KEY:
                self._step_world(world.on_answered, given)
            case Pressed(command="approve" | "reject", key=key):
                if key.startswith("dag:"):
                    self._queue.append(Message(key, lambda context, state: dag.on_pressed(context, state, given)))
            case Pressed():
                self._on_pressed(given)
            case Swept():
                self._step_world(world.on_swept, given)
            case Reported():
                self._step_world(reports.on_reported, given)
            case Surveyed():
                self._step_world(surveys.on_surveyed, given)
            case Tailed(key=key):
                self._queue.append(Message(key, lambda context, state: dag.on_tailed(context, state, given)))
            case Previewed(key=key):
                self._queue.append(Message(key, lambda context, state: dag.on_previewed(context, state, given)))
            case Gap():
                self._step_world(world.on_gap, given)
            case Unmapped():
                self._step_world(world.on_unmapped, given)

    def _on_pressed(self, pressed: Pressed) -> None:
        self._step_world(world.on_pressed, pressed)
        if pressed.command == "restored":
            self._queue.extend(Message(key, restore.look_at) for key in self._timers.dags())
        if not self.world.frozen:
            due = self._timers.pop_due("thaw", self.world.now)
            self._queue.extend(Message(key, waking.on_thaw) for key in due)

    def _wake(self, keys: list[str]) -> None:
        for key in keys:
            if key == WORLD_KEY:
                self._settle_world(self._context(WORLD_KEY))
            else:
                self._queue.append(Message(key, routing.on_wake))

    def _step(self, message: Message) -> None:
        key = message.key
        state = self.states.pop(key)
        context = self._context(key)
        if state is None and message.create is not None:
            state = message.create(context)
        self.states[key] = state  # the latest used come last: eviction takes the first
        if state is not None:
            message.handler(context, state)
            self._settle(context, key, state)
        self._take_effects()

    def _settle(self, context: Context, key: str, state: KeyState) -> None:
        if isinstance(state, DetectorState):
            detector.settle(context, state)
            timers, is_empty = detector.timers(context, state), detector.is_over(context, state)
        else:
            dag.settle(context, state)
            timers, is_empty = waking.timers(context, state), state.is_empty
        if is_empty:
            self.states[key] = None
            timers = {}
            if isinstance(state, DetectorState):
                keys.forget(context, state)
        self._timers.set(key, timers)
        self._dirty.add(key)

    def _step_world(self, handler: Callable[[Context, WorldState, Any], None], given: Any) -> None:
        context = self._context(WORLD_KEY)
        handler(context, self.world, given)
        self._settle_world(context)

    def _settle_world(self, context: Context) -> None:
        world.settle(context, self.world)
        self._timers.set(WORLD_KEY, world.timers(context, self.world))
        self._dirty.add(WORLD_KEY)
        self._take_effects()

    def _take_effects(self) -> None:
        """What a step left for other keys: alerts are the world's at once, the rest takes its turn."""
        self._take_touched()
        effects = self._effects
        while effects.alerts:
            alerts, effects.alerts = effects.alerts, []
            for alert in alerts:
                self._step_world(world.on_alert, alert)
        wakes, effects.wakes = effects.wakes, []
        for clock in wakes:
            self._wake(self._timers.pop_due(clock, self.world.now))
        if effects.events or effects.nudges or effects.finals or effects.firings or effects.calms:
            self._queue.extend(routing.of_effects(self._context(WORLD_KEY)))
            self._take_touched()

    def _take_touched(self) -> None:
        self._dirty |= self._effects.touched
        self._effects.touched.clear()

    def _context(self, key: str) -> Context:
        if self._rules is None:
            raise LookupError("no rule set is active")
        return Context(
            key=key,
            position=self.position,
            now=self.world.now,
            rules=self._rules,
            world=self.world,
            ledger=self.ledger,
            conditions=self.conditions,
            effects=self._effects,
        )
