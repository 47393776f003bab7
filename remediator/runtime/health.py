"""Health: what lately went wrong in this process, for those who ask whether it is ready. Decides nothing."""

from __future__ import annotations

from collections.abc import Callable

from remediator.model.time import SECOND, Duration, Instant
from remediator.rules.faults import Faults

RECENT: Duration = 30 * SECOND
"""A part that could not commit tries again each second: one that has not failed for so long is well."""
TEXT_LIMIT = 2_000


class Health:
    """One process's troubles. Texts are for the log's readers; `ready` shows no text of a file."""

    def __init__(self, clock: Callable[[], Instant]) -> None:
        self._clock = clock
        self._failed: dict[str, tuple[Instant, str]] = {}
        self.rules_rejected = ""
        """Why the latest reload of the rules was rejected; '' if it was not."""

    def store_failed(self, part: str, problem: str) -> None:
        """The store could not do what the part asked for."""
        self._failed[part] = (self._clock(), problem[:TEXT_LIMIT])

    def rules_reloaded(self, faults: Faults | None) -> None:
        """The rule files were read anew; the rules before go on deciding if there are faults."""
        self.rules_rejected = str(faults)[:TEXT_LIMIT] if faults is not None else ""

    def problems(self) -> list[str]:
        """What keeps the process from its work."""
        since = self._clock() - RECENT
        return [f"store: {part}: {text}" for part, (at, text) in sorted(self._failed.items()) if at > since]

    def notes(self) -> list[str]:
        """What a person should see to, though the work goes on."""
        return ["rules: the latest reload was rejected, the rules before it decide; see status"] * bool(
            self.rules_rejected
        )
