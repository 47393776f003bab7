"""What the HTTP surface asks of the daemon. Implemented by the runtime over store and journal."""

from __future__ import annotations

from typing import Any, Protocol

View = dict[str, Any]
"""JSON-able: texts, numbers, booleans, lists and dicts; times as ISO 8601 texts."""


class Exposition(Protocol):
    """The metrics, as Prometheus reads them."""

    @property
    def content_type(self) -> str:
        """Of what `exposition` returns."""

    def exposition(self) -> bytes:
        """Every metric."""


class Surface(Protocol):
    """Contract of the daemon towards its operators. Raises StoreError when the store cannot answer."""

    def live(self) -> bool:
        """Does the event loop still make progress? False asks the supervisor outside to restart the process."""

    async def ready(self) -> tuple[bool, list[str]]:
        """(True, []) or (False, why not, one text for each reason)."""

    async def status(self) -> View:
        """`views.status_view`, with what else the daemon wants to say."""

    async def freeze(self, on: bool, actor: str, reason: str) -> View:
        """Freeze or thaw, journalled. Returns {'frozen': …, 'position': …}."""

    async def incidents(self, *, open_only: bool, limit: int) -> list[View]:
        """`views.incident_view` of each, latest updated first."""

    async def explain_incident(self, incident_id: str) -> View | None:
        """`views.story_view` of the latest episode; None if no incident has this id or unique prefix."""
