"""What the daemon shows and obeys over HTTP. Reads the store; what it changes enters through the journal."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from remediator import __version__
from remediator.actions.port import Executor
from remediator.engine import feeds
from remediator.engine.saved import decode_world_state
from remediator.engine.state import WorldState
from remediator.model.event import Event
from remediator.model.ids import WORLD_KEY
from remediator.model.inputs import Pressed
from remediator.model.policy import Policy
from remediator.model.time import MINUTE, SECOND, Duration, Instant, format_duration, format_instant
from remediator.runtime import audit
from remediator.runtime.beats import Beats
from remediator.runtime.foresight import Foresight
from remediator.runtime.health import Health
from remediator.runtime.standing import approvals_view, breakers_view, open_proposals
from remediator.runtime.surface_accounts import AccountsSurface, freeze_view, loss_of, loss_view, restored_view
from remediator.runtime.surface_rules import Assign, Explainer, unmatched_view
from remediator.runtime.surface_story import Storyteller
from remediator.runtime.wiring import WatchedSource
from remediator.store.port import Store
from remediator.web import views
from remediator.web.port import View

CLOCK_WENT_BACK: Duration = MINUTE
"""From how far behind the journalled now on a clock is a problem: until it has caught up no timer fires."""


class DaemonSurface(AccountsSurface):
    """Implements `web.port.Surface`. `leading`: does this process decide? `beats`: of this process' parts.

    executors: by kind, who can say what a proposed change would do.
    """

    def __init__(
        self,
        store: Store,
        clock: Callable[[], Instant],
        policy: Callable[[], Policy],
        sources: Mapping[str, WatchedSource],
        leading: Callable[[], bool],
        beats: Beats,
        woken: Callable[[], None],
        assign: Assign,
        health: Health | None = None,
        delays: Mapping[str, Sequence[Duration]] | None = None,
        executors: Mapping[str, Executor] | None = None,
    ) -> None:
        self._explainer = Explainer(store, assign)
        super().__init__(store, clock, policy, woken, Foresight(self._explainer, executors))
        self._sources = sources
        self._health = health or Health(clock)
        self._leading = leading
        self._beats = beats
        self._delays = delays if delays is not None else {}
        self._stories = Storyteller(store, clock)

    def stuck(self) -> list[str]:
        return self._beats.stuck()

    async def ready(self) -> tuple[bool, list[str]]:
        await self._store.counts()
        problems = [f"feed {name}: {source.problem}" for name, source in self._sources.items() if source.problem]
        problems += self._health.problems() + time_stands_still(await self._world(), self._clock())
        return not problems, problems + self._health.notes()

    async def status(self) -> View:
        counts = await self._store.counts()
        world, ledger = await self._world(), await self._ledger()
        now = self._clock()
        return views.status_view(
            counts,
            {name: self._feed(world, name, now) for name in self._sources},
            now,
            version=__version__,
            leader=self._leading(),
            rule_set=world.rule_set,
            rules_rejected=self._health.rules_rejected,
            store_failing=self._health.problems(),
            approvals=approvals_view(open_proposals(await self._open_incidents(), now), now),
            breakers=breakers_view(ledger, self._policy(), now),
            **freeze_view(world, frozen=counts.frozen),
            **restored_view(self._policy(), world, ledger),
            deployments={
                name: {
                    "ceiling": deployment.ceiling.value,
                    "feed": deployment.feed,
                    "has_api": deployment.has_api,
                    "silent_s": silent_s(world, name, now),
                    **loss_view(loss_of(ledger, name, now)),
                }
                for name, deployment in self._policy().deployments.items()
            },
        )

    def _feed(self, world: WorldState, name: str, now: Instant) -> View:
        state = world.feeds.get(name)
        mark = feeds.watermark(world.feeds, name, self._policy())
        return {
            "problem": self._sources[name].problem,
            "blind": state is not None and state.blind,
            "watermark": format_instant(mark) if mark else None,
            "watermark_age_s": (now - mark) / SECOND if mark else None,
            **delay_view(self._delays.get(name, ())),
        }

    async def _world(self) -> WorldState:
        body = (await self._store.load_states([WORLD_KEY])).get(WORLD_KEY)
        return decode_world_state(body) if body is not None else WorldState()

    async def freeze(self, on: bool, actor: str, reason: str) -> View:
        pressed = Pressed(actor, "freeze" if on else "thaw", reason)
        position = await self._store.append([pressed], self._clock(), frozen=on, audit=[audit.command(pressed)])
        self._woken()
        return {"frozen": on, "position": position}

    async def incidents(self, *, open_only: bool, limit: int) -> list[View]:
        return [views.incident_view(one) for one in await self._store.incidents(open_only=open_only, limit=limit)]

    async def explain_incident(self, incident_id: str) -> View:
        return await self._stories.incident(incident_id)

    async def explain_action(self, action_id: str) -> View:
        return await self._stories.action(action_id)

    async def explain_event(self, event: Event, topic: str, rules: Sequence[str]) -> View:
        return await self._explainer.explain(event, topic, rules)

    async def unmatched(self, since: Duration) -> View:
        return await unmatched_view(self._store, since, self._clock(), self._policy().unclassified_route)


def silent_s(world: WorldState, deployment: str, now: Instant) -> float | None:
    """For how long its API has not answered the sweeps; None: it answers, or was never asked."""
    sweep = world.sweeps.get(deployment)
    since = None if sweep is None else sweep.failing_since
    return None if since is None else max(0, now - since) / SECOND


def delay_view(delays: Sequence[Duration]) -> View:
    """How long after they happened the latest events became known: the middle, and what all but one in twenty took."""
    ordered = sorted(delays)
    if not ordered:
        return {"delay_s": None, "delay_p95_s": None}
    return {
        "delay_s": ordered[len(ordered) // 2] / SECOND,
        "delay_p95_s": ordered[min(len(ordered) * 95 // 100, len(ordered) - 1)] / SECOND,
    }


def time_stands_still(world: WorldState, now: Instant) -> list[str]:
    """The journalled now never goes back: once the machine's clock was set ahead and back, everything waits for it."""
    ahead = world.now - now
    if ahead <= CLOCK_WENT_BACK:
        return []
    lasts = format_duration(ahead // SECOND * SECOND)
    return [f"clock: it is {lasts} behind what was journalled: no wait, retry or page ends before it has caught up"]
