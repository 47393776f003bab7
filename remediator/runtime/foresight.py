"""What a proposal would do, for whoever has to answer it: the change that a yes would issue, and the target's dry run.

Nothing is journalled and nothing is changed: what the target says now is shown, not decided on.
"""

from __future__ import annotations

from collections.abc import Mapping

from remediator.actions.port import Executor, Preview
from remediator.actions.preview import previewed
from remediator.engine.explain_proposal import Foreseen
from remediator.model.incident import Proposal
from remediator.model.time import SECOND, Duration
from remediator.runtime.surface_rules import Explainer
from remediator.web.port import NotThere, View

PATIENCE: Duration = 10 * SECOND
"""Less than the API waits for any answer: whoever asks must read what is known without the target."""


class Foresight:
    """Asks the engine what a yes would issue, and the executor what that would do now."""

    def __init__(
        self, explainer: Explainer, executors: Mapping[str, Executor] | None = None, patience: Duration = PATIENCE
    ) -> None:
        self._explainer = explainer
        self._executors = executors or {}
        self._patience = patience

    async def view(self, proposal: Proposal) -> View:
        """The part of web.port.Accounts.proposal that is not in the list."""
        try:
            seen = await self._explainer.foresee(proposal)
        except NotThere as error:
            seen = Foreseen(why_not=str(error))
        if seen.action is None:
            return foreseen_view(seen, Preview("", error=seen.why_not))
        found = await previewed(self._executors, seen.action, self._patience)
        return foreseen_view(seen, found)


def foreseen_view(seen: Foreseen, preview: Preview) -> View:
    """As JSON."""
    by = {"rule": seen.rule, "summary": seen.summary, "file": seen.file, "line": seen.line, "mode": seen.mode}
    return {
        "asked_by": by,
        "step": seen.step,
        "waiting": seen.waiting,
        "held_back": [{"name": one.name, "verdict": one.verdict, "text": one.text} for one in seen.held_back],
        "preview": {
            "text": preview.text, "affects": preview.affects, "refused": preview.refused, "error": preview.error,
        },
    }  # fmt: skip
