"""What the daemon says about rules: what they make of an event now, and which failures none of them answered.

Reads the store only. Compiles rule sets of its own, so that the ones that decide are never used from a thread.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence

import msgspec

from remediator.engine import explain_proposal
from remediator.engine.explain import explain, keys_of, live_of
from remediator.engine.explain_proposal import Foreseen
from remediator.engine.explain_views import Explained
from remediator.engine.saved import decode_world_state
from remediator.engine.steps import UNCLASSIFIED
from remediator.model.event import Event
from remediator.model.ids import WORLD_KEY
from remediator.model.incident import Incident, Proposal
from remediator.model.time import Duration, Instant, format_instant
from remediator.rules.index import RuleSet
from remediator.rules.spec import decode_rule_set
from remediator.rules.unmatched import Failure, Group, Groups, error_of, group_view
from remediator.store.port import Store
from remediator.web.port import NotThere, View

Assign = Callable[[Event, str], tuple[str, tuple[str, ...]]]
"""(event, topic) -> (deployment or '', the claimants)."""
MOST_INCIDENTS = 5_000
MOST_GROUPS = 200
EXAMPLES_ASKED = 50
"""Groups whose example is looked up in the history, to tell an error's type from its message."""


class Explainer:
    """Explains events by the active rule set. One at a time: a large set takes a while."""

    def __init__(self, store: Store, assign: Assign) -> None:
        self._store = store
        self._assign = assign
        self._compiled: RuleSet | None = None
        self._turn = asyncio.Lock()
        self._compiling = threading.Lock()

    async def explain(self, event: Event, topic: str, only: Sequence[str]) -> View:
        """As web.port.Surface.explain_event."""
        content_hash, body = await self._active()
        if not event.deployment:
            event = msgspec.structs.replace(event, deployment=self._assign(event, topic)[0])
        async with self._turn:
            rules, keys = await asyncio.to_thread(self._prepare, content_hash, body, event, only)
            found = await self._store.load_states(keys)
            views = await asyncio.to_thread(self._explained, rules, event, found, only)
        now = views[0].now if views else ""
        return {"rule_set": content_hash, "now": now, "events": msgspec.to_builtins(views)}

    async def foresee(self, proposal: Proposal) -> Foreseen:
        """What a yes to the proposal would issue now. Raises NotThere if no rule set is active."""
        content_hash, body = await self._active()
        async with self._turn:
            found = await self._store.load_states(explain_proposal.keys_of(proposal))
            return await asyncio.to_thread(self._foreseen, content_hash, body, found, proposal)

    async def _active(self) -> tuple[str, bytes]:
        """The active rule set. Raises NotThere."""
        saved = (await self._store.load_states([WORLD_KEY])).get(WORLD_KEY)
        content_hash = "" if saved is None else decode_world_state(saved).rule_set
        body = await self._store.rule_set(content_hash) if content_hash else None
        if body is None:
            raise NotThere("no rule set is active yet")
        return content_hash, body

    def _rules(self, content_hash: str, body: bytes) -> RuleSet:
        """Compiled once. The lock must be held."""
        if self._compiled is None or self._compiled.hash != content_hash:
            self._compiled = RuleSet(decode_rule_set(body))
        return self._compiled

    def _foreseen(self, content_hash: str, body: bytes, found: Mapping[str, bytes], proposal: Proposal) -> Foreseen:
        with self._compiling:
            return explain_proposal.foresee(self._rules(content_hash, body), live_of(found), proposal)

    def _prepare(self, content_hash: str, body: bytes, event: Event, only: Sequence[str]) -> tuple[RuleSet, list[str]]:
        with self._compiling:
            rules = self._rules(content_hash, body)
            unknown = [rule_id for rule_id in only if rule_id not in rules.rules]
            if unknown:
                raise NotThere(f"no active rule has the id {unknown[0][:100]!r}")
            return rules, keys_of(rules, event, only)

    def _explained(
        self, rules: RuleSet, event: Event, found: Mapping[str, bytes], only: Sequence[str]
    ) -> list[Explained]:
        with self._compiling:
            return explain(rules, event, live_of(found), only)


async def unmatched_view(store: Store, since: Duration, now: Instant, route: str) -> View:
    """As web.port.Surface.unmatched, from the incidents that no rule answered."""
    found = await store.incidents(open_only=False, limit=MOST_INCIDENTS)
    begin = now - since
    groups = Groups()
    for incident in found:
        if incident.rule == UNCLASSIFIED and incident.dag_id and incident.updated_at >= begin:
            groups.add(_failure(incident, ()))
    listed = groups.most_frequent_first()
    for group in listed[:EXAMPLES_ASKED]:
        group.example = await _exact(store, group, found)
    is_cut = len(found) >= MOST_INCIDENTS and found[-1].updated_at >= begin
    return {
        "since": format_instant(max(begin, 0)),
        "route": route,
        "unmatched": [group_view(group) for group in listed[:MOST_GROUPS]],
        "more": is_cut or len(listed) > MOST_GROUPS or groups.left_off > 0,
    }


def _failure(incident: Incident, messages: Sequence[str]) -> Failure:
    run_id = incident.dagruns[-1] if incident.dagruns else ""
    return Failure(incident.deployment, incident.dag_id, incident.task_id, run_id, error_of(incident.error, messages),
                   incident.opened_at, incident.resolved_at or incident.updated_at,
                   max(1, incident.failures))  # fmt: skip


async def _exact(store: Store, group: Group, incidents: Sequence[Incident]) -> Failure:
    """The example with its message as the history has it, if it still has it."""
    one = group.example
    rows = await store.history(one.deployment, one.dag_id, one.run_id)
    messages = [row.error for row in rows if row.task_id == one.task_id and row.error]
    for incident in incidents:
        is_it = (incident.deployment, incident.dag_id, incident.task_id) == (one.deployment, one.dag_id, one.task_id)
        if is_it and incident.rule == UNCLASSIFIED and one.run_id in incident.dagruns[-1:]:
            return _failure(incident, messages)
    return one
