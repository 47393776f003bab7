"""What stories are told from, read from the store: decisions, outbox, journal and rules. All reads are bounded."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence

import msgspec

from remediator.engine.incident import incident_id
from remediator.engine.saved import decode_world_state
from remediator.model.action import Retry
from remediator.model.ids import WORLD_KEY
from remediator.model.incident import Incident
from remediator.model.inputs import Input
from remediator.model.reasons import Decision, Reason
from remediator.model.time import DAY, MINUTE, Instant
from remediator.rules.spec import decode_rule_set
from remediator.runtime.story import incident_story
from remediator.runtime.story_action import action_story
from remediator.runtime.story_parts import Ground, RuleWords
from remediator.runtime.story_text import story_json
from remediator.store.audit import AuditEntry
from remediator.store.port import ActionRow, Store
from remediator.web import views
from remediator.web.port import NotThere, Several, View

STORY_LIMIT = 500
PAGE, PAGES = 1_000, 5
"""Decisions of all incidents that are searched for what belongs to the story, from its beginning on."""
AUDIT_LIMIT = 1_000
ENTRIES_LIMIT = 80
"""Journal entries that are read for what shows a decision: the first and the last ones."""
SEARCHED = 10_000
"""Actions, and incidents, among which an abbreviated id is looked for, latest first."""
SEVERAL_SHOWN = 20
SHOWN_BY_ENTRY = frozenset(
    {Reason.SUSPECTED, Reason.FAILED_FINALLY, Reason.FOUND_BY_LOOK, Reason.HELPED, Reason.DID_NOT_HELP,
     Reason.RECOVERED, Reason.LEFT_ALONE, Reason.GONE, Reason.INCIDENT_OPENED, Reason.INCIDENT_JOINED, Reason.FIRED,
     Reason.ENDED_BY_EVENT}
)  # fmt: skip
OF_THE_WORLD = frozenset({Reason.FROZEN, Reason.THAWED, Reason.RESTORED})
OF_DETECTORS = frozenset({Reason.FIRED, Reason.HOLDING, Reason.HOLD_ENDED, Reason.SUPPRESSED, Reason.LATE,
                          Reason.STATE_BEGUN_ANEW, Reason.NO_KEY})  # fmt: skip
OF_THE_DAG = frozenset({Reason.UNANNOUNCED, Reason.UNREACHABLE, Reason.RULE_ERROR})


class Storyteller:
    """Tells stories from a store. Holds nothing."""

    def __init__(self, store: Store, clock: Callable[[], Instant]) -> None:
        self._store = store
        self._clock = clock

    async def incident(self, given: str) -> View:
        """The story of the latest episode of one incident. given: its id or a unique beginning.

        Raises NotThere, and Several if more than one begins so.
        """
        found = await self._incident(given)
        ground = await self._ground(found)
        story = await asyncio.to_thread(lambda: story_json(incident_story(ground)))
        return {**views.story_view(found, ground.decisions, ground.actions), "story": story}

    async def action(self, given: str) -> View:
        """The story of one action, likewise."""
        row = await self._action(given)
        incident = await self._store.incident(row.action.incident) if row.action.incident else None
        ground = await self._ground(incident, whole=True) if incident is not None else await self._bare(row)
        if ground.row(row.action.id) is None:
            ground = msgspec.structs.replace(ground, actions=(*ground.actions, row))
        ground = msgspec.structs.replace(ground, word=await self._word(ground, row))
        story = await asyncio.to_thread(lambda: story_json(action_story(ground, row)))
        told = [one for one in ground.decisions if one.action_id == row.action.id]
        return {
            "action": {**views.action_view(row), "params": msgspec.to_builtins(row.action.params)},
            "incident": views.incident_view(incident) if incident is not None else None,
            "decisions": [views.decision_view(one) for one in told],
            "story": story,
        }

    # -- ids ------------------------------------------------------------------------------------------------------

    async def _incident(self, given: str) -> Incident:
        found = await self._store.incident(given)
        if found is not None:
            return found
        listed = await self._store.incidents(open_only=False, limit=SEARCHED)
        several = {one.id: f"{one.id}  {one.title}" for one in listed if given and one.id.startswith(given)}
        if len(several) > 1:
            raise Several(
                f"{len(several)} incidents begin with {given[:100]!r}", list(several.values())[:SEVERAL_SHOWN]
            )
        raise NotThere(f"no incident has the id, or the beginning of it, {given[:100]!r}")

    async def _action(self, given: str) -> ActionRow:
        listed = await self._store.actions("", SEARCHED)
        found = [row for row in listed if given and row.action.id.startswith(given)]
        exact = [row for row in found if row.action.id == given]
        if len(exact or found) == 1:
            return (exact or found)[0]
        if found:
            shown = [f"{row.action.id}  {row.action.kind} on {row.action.target}, {row.state}" for row in found]
            raise Several(f"{len(found)} actions begin with {given[:100]!r}", shown[:SEVERAL_SHOWN])
        raise NotThere(f"no action that is still kept has the id, or the beginning of it, {given[:100]!r}")

    # -- ground ---------------------------------------------------------------------------------------------------

    async def _ground(self, incident: Incident, *, whole: bool = False) -> Ground:
        """whole: earlier episodes too."""
        decisions = await self._store.decisions(incident.id, STORY_LIMIT)
        actions = await self._store.actions(incident.id, STORY_LIMIT)
        decisions = decisions if whole else _latest_episode(decisions, incident)
        decisions = await self._with_claims(incident, decisions, actions)
        beside = beside_of(incident, decisions, await self._unattached(incident, decisions))
        told = [*decisions, *beside]
        inputs = await self._entries(_positions(told))
        rules, feeds, rule_set, since = await self._rules({one.rule for one in told} | {incident.rule})
        return Ground(
            now=self._clock(), incident=incident, decisions=tuple(decisions), beside=tuple(beside),
            actions=tuple(row for row in actions if whole or row.at >= incident.opened_at), inputs=inputs,
            feeds=feeds, rules=rules, rule_set=rule_set, rule_set_since=since,
            cut=len(decisions) >= STORY_LIMIT,
        )  # fmt: skip

    async def _unattached(self, incident: Incident, decisions: Sequence[Decision]) -> list[Decision]:
        """Decisions of no incident, from a little before the story until it ends."""
        since, after = min((one.at for one in decisions), default=incident.opened_at) - 10 * MINUTE, 0
        until = incident.resolved_at or self._clock()
        found: list[Decision] = []
        for _ in range(PAGES):
            page = await self._store.decisions_since(since, after, PAGE)
            found += [one for _, one in page if not one.incident]
            if len(page) < PAGE or page[-1][1].at > until:
                break
            since, after = page[-1][1].at, page[-1][0]
        return found

    async def _word(self, ground: Ground, row: ActionRow) -> AuditEntry | None:
        """What the audit says of who wanted the action; None if it is not audited, or not kept."""
        wanted = next((one.at for one in ground.decisions if one.action_id == row.action.id), row.action.not_before)
        page = await self._store.audit(0, AUDIT_LIMIT, wanted)
        name = row.action.id.encode()
        for link in page.rows:
            if name in link.body:
                entry = msgspec.json.decode(link.body, type=AuditEntry)
                if entry.event == "wanted" and entry.action_id == row.action.id:
                    return entry
        return None

    async def _bare(self, row: ActionRow) -> Ground:
        _, _, rule_set, since = await self._rules(set())
        return Ground(now=self._clock(), actions=(row,), rule_set=rule_set, rule_set_since=since)

    async def _with_claims(
        self, incident: Incident, decisions: list[Decision], actions: Sequence[ActionRow]
    ) -> list[Decision]:
        """With what was decided under the names of single tasks, before a rule's group made one incident of them."""
        places = {(incident.deployment, incident.dag_id, incident.task_id)} if incident.task_id else set()
        places |= {(row.action.target, row.action.params.dag_id, task.task_id) for row in actions
                   if isinstance(row.action.params, Retry) for task in row.action.params.tasks}  # fmt: skip
        names = {incident_id(*place) for place in places} - {incident.id}
        known = {one.position for one in decisions}
        claimed: list[Decision] = []
        for name in sorted(names)[:ENTRIES_LIMIT]:
            found = await self._store.decisions(name, STORY_LIMIT)
            claimed += [one for one in found if one.position in known or one.reason is Reason.SUSPECTED]
        first = min(known, default=0)
        begun = max((one.at for one in decisions[:1]), default=0) - 10 * MINUTE
        claimed = [one for one in claimed if one.position >= first or one.at >= begun]
        return sorted([*claimed, *decisions], key=lambda one: one.position) if claimed else decisions

    async def _entries(self, positions: Iterable[int]) -> dict[int, Input]:
        inputs: dict[int, Input] = {}
        for position in positions:
            entries = await self._store.read_journal(position - 1, 1)
            if entries and entries[0].position == position:
                inputs[position] = entries[0].input
        return inputs

    async def _rules(self, wanted: set[str]) -> tuple[dict[str, RuleWords], dict[str, str], str, Instant]:
        """The wanted rules as they are now, the feed of each deployment, the rule set, and since when it decides."""
        body = (await self._store.load_states([WORLD_KEY])).get(WORLD_KEY)
        world = decode_world_state(body) if body is not None else None
        if world is None or not world.rule_set:
            return {}, {}, "", 0
        kept = await self._store.rule_set(world.rule_set)
        rules, feeds = await asyncio.to_thread(_rule_words, kept, wanted) if kept is not None else ({}, {})
        return rules, feeds, world.rule_set, world.armed_at


def _rule_words(body: bytes, wanted: set[str]) -> tuple[dict[str, RuleWords], dict[str, str]]:
    spec = decode_rule_set(body)
    rules = {
        rule.id: RuleWords(rule.id, rule.summary, rule.mode.value, f"{rule.file}:{rule.line}" if rule.file else "")
        for rule in spec.rules
        if rule.id in wanted
    }
    return rules, {name: deployment.feed for name, deployment in spec.policy.deployments.items()}


def _latest_episode(decisions: list[Decision], incident: Incident) -> list[Decision]:
    """What was decided since the episode before this one ended."""
    ends = [number for number, one in enumerate(decisions)
            if one.reason is Reason.INCIDENT_RESOLVED and one.at <= incident.opened_at
            and any(later.reason is Reason.INCIDENT_OPENED for later in decisions[number:])]  # fmt: skip
    return decisions[ends[-1] + 1 :] if ends else decisions


def beside_of(
    incident: Incident, decisions: Sequence[Decision], unattached: Iterable[Decision]
) -> list[Decision]:  # fmt: skip
    """The decisions of no incident that belong to this one's story: its rule over time, its DAG's, the freeze."""
    positions = {one.position for one in decisions}
    keys = {one.key for one in decisions}
    since = min((one.at for one in decisions), default=incident.opened_at)
    until = incident.resolved_at or incident.updated_at
    listed = list(unattached)
    own = {one.key for one in listed if one.reason is Reason.FIRED and one.rule == incident.rule
           and one.position in positions}  # fmt: skip
    found = [one for one in listed if _belongs(one, positions, keys, own, since, until)]
    frozen = any(one.reason is Reason.FROZEN for one in decisions)
    before = [one for one in listed if one.reason in OF_THE_WORLD and one.at < since] if frozen else []
    return [*before[-1:], *found]


def _belongs(
    one: Decision, positions: set[int], keys: set[str], own: set[str], since: Instant, until: Instant
) -> bool:  # fmt: skip
    if one.reason in OF_DETECTORS:
        return one.key in own and since - DAY <= one.at <= until
    if one.reason in OF_THE_DAG:
        return one.key in keys and (one.position in positions or (one.reason is Reason.UNREACHABLE
                                                                  and since <= one.at <= until))  # fmt: skip
    return one.reason in OF_THE_WORLD and since <= one.at <= until


def _positions(told: Iterable[Decision]) -> list[int]:
    """The journal positions that are worth reading: the first and the last ones, if there are too many."""
    found = sorted({one.position for one in told if one.reason in SHOWN_BY_ENTRY and one.position > 0})
    half = ENTRIES_LIMIT // 2
    return found if len(found) <= ENTRIES_LIMIT else [*found[:half], *found[-half:]]
