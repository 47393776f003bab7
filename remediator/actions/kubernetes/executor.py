"""Performs `kubernetes.scale`. Provable: each call looks first, and acts only on the version that it looked at."""

from __future__ import annotations

from collections.abc import Mapping

from remediator.actions.kubernetes import verdict
from remediator.actions.kubernetes.client import ClusterClient
from remediator.actions.kubernetes.errors import Answered, Fault, NotSent
from remediator.actions.kubernetes.rows import ScaleRow
from remediator.actions.kubernetes.verdict import Seen, Send
from remediator.actions.port import Preview
from remediator.model.action import Action, Guarantee, Scale
from remediator.model.outcome import NOT_DONE, Outcome, Refused, RetryAfter, Unknown
from remediator.model.time import SECOND

CONFLICTS = 3
"""Conflicts in a row that are looked at again at once: a rollout changes the workload's status every moment."""


class ScaleExecutor:
    """One client per deployment, by its name: that of the cluster that serves it.

    `before` of what is delivered: the replicas that it had; '' if only a call whose answer was lost knew.
    """

    guarantee = Guarantee.PROVABLE

    def __init__(self, clients: Mapping[str, ClusterClient]) -> None:
        self._clients = dict(clients)

    async def perform(self, action: Action, *, uncertain: bool) -> Outcome:
        """Scale, unless it is so already. Raises TypeError for an action of another kind."""
        wanted = action.params
        if not isinstance(wanted, Scale):
            raise TypeError(f"not a scaling: {action.kind}")
        client = self._clients.get(action.target)
        if client is None:
            return Refused(_unserved(action))
        path = verdict.path_of(wanted)
        if path is None:
            return Refused(f"{verdict.named(wanted)} cannot be the name of a workload")
        return await _Scaling(client, action.id, wanted, path).done(uncertain=uncertain)

    async def prove(self, action: Action) -> Outcome:
        """The mark that a call leaves tells, and the number does."""
        wanted = action.params
        client = self._clients.get(action.target)
        path = verdict.path_of(wanted) if isinstance(wanted, Scale) else None
        if client is None or path is None or not isinstance(wanted, Scale):
            return Unknown(f"nothing tells whether {action.kind} of {action.target!r} was done")
        return await _Scaling(client, action.id, wanted, path).proved()

    async def preview(self, action: Action) -> Preview:
        """What it has now, and what it would have. Only reads."""
        wanted = action.params
        assert isinstance(wanted, Scale)  # noqa: S101  (the dispatcher picks the executor by kind)
        client = self._clients.get(action.target)
        if client is None:
            return Preview("", error=_unserved(action))
        path = verdict.path_of(wanted)
        if path is None:
            return Preview("", error=f"{verdict.named(wanted)} cannot be the name of a workload")
        try:
            return verdict.previewed(await client.scale(path), wanted)
        except Fault as fault:
            return Preview("", error=f"{verdict.named(wanted)}: {fault}")


def _unserved(action: Action) -> str:
    return f"no cluster is configured for deployment {action.target!r}"


class _Scaling:
    """One action on its way."""

    def __init__(self, client: ClusterClient, action_id: str, wanted: Scale, path: str) -> None:
        self._client = client
        self._action_id = action_id
        self._wanted = wanted
        self._path = path

    async def done(self, *, uncertain: bool) -> Outcome:
        """Look, decide, send; once more from the start if somebody else was faster."""
        for _ in range(CONFLICTS):
            seen = await self._look(traced=uncertain)
            if isinstance(seen, Fault):
                return verdict.look_failed(seen, self._wanted, uncertain=uncertain)
            decided = verdict.before(self._wanted, seen, uncertain=uncertain)
            if not isinstance(decided, Send):
                return decided
            answer = await self._send(decided)
            if not (isinstance(answer, Answered) and answer.status == 409):
                return await self._judged(decided, answer, uncertain=uncertain)
        return RetryAfter(SECOND, f"{verdict.named(self._wanted)} keeps changing", uncertain=uncertain)

    async def proved(self) -> Outcome:
        """What became of an earlier call; nothing is sent."""
        seen = await self._look(traced=True)
        if isinstance(seen, Fault):
            return verdict.look_failed(seen, self._wanted, uncertain=True)
        decided = verdict.before(self._wanted, seen, uncertain=True)
        return Refused(NOT_DONE) if isinstance(decided, Send) else decided

    async def _judged(self, send: Send, answer: ScaleRow | Fault, *, uncertain: bool) -> Outcome:
        if isinstance(answer, ScaleRow):
            return verdict.delivered(self._wanted, str(send.replicas), f"{self._wanted.replicas} replicas")
        if isinstance(answer, Answered | NotSent) and not verdict.is_unclear(answer):
            return verdict.refused(answer, self._wanted, uncertain=uncertain)
        return verdict.after(self._wanted, send, await self._look(traced=True), answer)

    async def _look(self, *, traced: bool) -> Seen | Fault:
        """The mark is read after the number: a call of ours that lands in between is not missed."""
        try:
            scale = await self._client.scale(self._path)
        except Fault as fault:
            return fault
        if not traced:
            return Seen(scale)
        try:
            found = await self._client.managers(self._path)
        except Answered as fault:
            # An account that may not read the workload itself: what is known is the number alone.
            return Seen(scale) if fault.status in (401, 403) else fault
        except Fault as fault:
            return fault
        return Seen(scale, verdict.ours_of(found, self._action_id), traced=True)

    async def _send(self, send: Send) -> ScaleRow | Fault:
        manager = verdict.manager_of(self._action_id, send.replicas)
        try:
            return await self._client.set_scale(self._path, self._wanted.replicas, send.version, manager)
        except Fault as fault:
            return fault
