"""A daemon with one incident, for tests of what is in front of it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from remediator.engine.explain import explain
from remediator.model.action import Action, Look, Retry
from remediator.model.event import Event
from remediator.model.policy import Mode, Policy
from remediator.model.reasons import Decision, Reason
from remediator.model.time import MINUTE, SECOND, Duration
from remediator.rules.index import RuleSet
from remediator.rules.spec import Rule, RuleSetSpec, Step
from remediator.rules.unmatched import Groups, group_view
from remediator.runtime.story import incident_story
from remediator.runtime.story_action import action_story
from remediator.runtime.story_parts import Ground
from remediator.runtime.story_text import story_json
from remediator.store.port import ActionRow, Counts, StoreError
from remediator.web.port import NotThere, Several, View
from remediator.web.views import action_view, incident_view, status_view, story_view
from tests.contract.people.told import NOW, OPEN

COUNTS = Counts(
    journal_head=12,
    controller_position=11,
    journal_rows=12,
    dead_letters=0,
    outbox={"slack.message": {"pending": 1}},
    incidents_open=1,
    timers=2,
    frozen=False,
    oldest_unprocessed_at=NOW - 2 * SECOND,
)


def row(params: Look | Retry, state: str, detail: str, name: str) -> ActionRow:
    action = Action(id=name, lane="l", key="k", target="prod", params=params, not_before=NOW, not_after=NOW + MINUTE)
    return ActionRow(action=action, state=state, tries=0, detail=detail, at=NOW + 3 * SECOND)


DECISIONS = [
    Decision(position=7, at=NOW, key="k", reason=Reason.SUSPECTED, text="task.failed of load, try 1"),
    Decision(position=9, at=NOW + 2 * SECOND, key="k", reason=Reason.FAILED_FINALLY, text="Airflow has given up"),
    Decision(
        position=9,
        at=NOW + 2 * SECOND,
        key="k",
        reason=Reason.RETRY_PLANNED,
        text="attempt 1 of 3 in 30s",
        rule="task-lost-connection",
        action_id="act1",
    ),
]
RULES = RuleSet(
    RuleSetSpec(
        (Rule(id="reset", on=("task.failed_finally",), mode=Mode.ACT, where={"error.message": "reset"},
              do=(Step("page"),)),), Policy()
    )
)  # fmt: skip
ACTIONS = [row(Retry(dag_id="orders", run_id="r1", tasks=()), "delivered", "1 task cleared", "act1")]


GROUND = Ground(now=NOW + MINUTE, incident=OPEN, decisions=tuple(DECISIONS), actions=tuple(ACTIONS))


class FakeDaemon:
    """What a daemon would say. Set the attributes to make it say something else."""

    def __init__(self) -> None:
        self.stands_still: list[str] = []
        self.reasons: list[str] = []
        self.store_error = ""
        self.bug = False
        self.hang: asyncio.Event | None = None
        self.pressed: list[tuple[bool, str, str]] = []
        self.asked: list[tuple[bool, int]] = []
        self.explained: list[tuple[Event, str, list[str]]] = []
        self.looked_back: list[Duration] = []
        self.groups = Groups()

    def stuck(self) -> list[str]:
        return self.stands_still

    async def ready(self) -> tuple[bool, list[str]]:
        await self._trouble()
        return not self.reasons, self.reasons

    async def status(self) -> View:
        await self._trouble()
        feeds: dict[str, View] = {"main": {"problem": "", "blind": False, "watermark_age_s": 12.0}}
        return status_view(COUNTS, feeds, NOW, version="0.1", rule_set="abc123", role="controller")

    async def freeze(self, on: bool, actor: str, reason: str) -> View:
        self.pressed.append((on, actor, reason))
        return {"frozen": on, "position": 13}

    async def incidents(self, *, open_only: bool, limit: int) -> list[View]:
        self.asked.append((open_only, limit))
        return [incident_view(OPEN)]

    async def explain_incident(self, incident_id: str) -> View:
        if incident_id == "5":
            raise Several("2 incidents begin with '5'", [f"{OPEN.id}  {OPEN.title}", "5\x1b[2J  another"])
        if not OPEN.id.startswith(incident_id):
            raise NotThere(f"no incident has the id, or the beginning of it, {incident_id!r}")
        return {**story_view(OPEN, DECISIONS, ACTIONS), "story": story_json(incident_story(GROUND))}

    async def explain_action(self, action_id: str) -> View:
        if action_id != "act1":
            raise NotThere(f"no action that is still kept has the id, or the beginning of it, {action_id!r}")
        return {"action": action_view(ACTIONS[0]), "story": story_json(action_story(GROUND, ACTIONS[0]))}

    async def explain_event(self, event: Event, topic: str, rules: Sequence[str]) -> View:
        self.explained.append((event, topic, list(rules)))
        if "nonsense" in rules:
            raise NotThere("no active rule has the id 'nonsense'")
        return {"rule_set": RULES.hash, "now": "", "events": msgspec.to_builtins(explain(RULES, event, None, rules))}

    async def unmatched(self, since: Duration) -> View:
        self.looked_back.append(since)
        groups = [group_view(group) for group in self.groups.most_frequent_first()]
        return {"since": "", "route": "data-oncall", "unmatched": groups, "more": False}

    async def _trouble(self) -> None:
        if self.store_error:
            raise StoreError(self.store_error)
        if self.bug:
            raise RuntimeError("secret detail")
        if self.hang is not None:
            await self.hang.wait()
