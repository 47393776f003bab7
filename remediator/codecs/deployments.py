"""The deployment map: which deployment an event belongs to, by namespace and topic. Decides nothing when unsure."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from remediator.model.event import Event
from remediator.model.globs import any_covers

MAX_CACHED = 4_096

Assignment = tuple[str, tuple[str, ...]]
"""(deployment or '', every deployment that claims it)."""


class DeploymentBinding(msgspec.Struct, frozen=True):
    """What one deployment claims: globs, case-sensitive. Empty means any; both empty claims nothing."""

    name: str
    namespaces: tuple[str, ...] = ()
    topics: tuple[str, ...] = ()

    def claims(self, namespace: str, topic: str) -> bool:
        """Is an event of this namespace on this topic the deployment's?"""
        if not self.namespaces and not self.topics:
            return False
        return _any_match(self.namespaces, namespace) and _any_match(self.topics, topic)


class DeploymentMap:
    """Assigns events to deployments. The answer for a (namespace, topic) never changes, so it is kept, boundedly."""

    def __init__(self, bindings: Sequence[DeploymentBinding]) -> None:
        self._bindings = tuple(bindings)
        self._cache: dict[tuple[str, str], Assignment] = {}

    def assign(self, event: Event, topic: str) -> Assignment:
        """(name, (name,)) if exactly one deployment claims the event; else ('', all that claim it, maybe none)."""
        known = self._cache.get((event.namespace, topic))
        return known if known is not None else self._remember(event.namespace, topic)

    def _remember(self, namespace: str, topic: str) -> Assignment:
        claimants = tuple(binding.name for binding in self._bindings if binding.claims(namespace, topic))
        assignment = (claimants[0] if len(claimants) == 1 else "", claimants)
        if len(self._cache) >= MAX_CACHED:
            self._cache.clear()
        self._cache[namespace, topic] = assignment
        return assignment


def _any_match(globs: tuple[str, ...], text: str) -> bool:
    return not globs or any_covers(globs, text)
