"""What the HTTP surface asks of the daemon. Implemented by the runtime over store and journal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from remediator.model.event import Event
from remediator.model.time import Duration, Instant

View = dict[str, Any]
"""JSON-able: texts, numbers, booleans, lists and dicts; times as ISO 8601 texts."""


class Exposition(Protocol):
    """The metrics, as Prometheus reads them."""

    @property
    def content_type(self) -> str:
        """Of what `exposition` returns."""

    def exposition(self) -> bytes:
        """Every metric."""


class NotThere(Exception):  # noqa: N818  (a state of affairs, not a fault)
    """What was asked for does not exist, such as a rule; the text says so."""


class Several(Exception):  # noqa: N818  (a state of affairs, not a fault)
    """An abbreviated id names more than one; `found`: a line for each, the first of them."""

    def __init__(self, text: str, found: Sequence[str]) -> None:
        super().__init__(text)
        self.found = list(found)


class Over(Exception):  # noqa: N818  (a state of affairs, not a fault)
    """What was asked for can not be answered any more, such as a proposal that has expired; the text says so."""


class Accounts(Protocol):
    """What people are asked for, and what was done: proposals, the audit, reports. Raises StoreError like `Surface`."""

    async def proposals(self) -> list[View]:
        """Changes that wait for a person, those that expire first first."""

    async def proposal(self, proposal: str) -> View:
        """One of them, with who asks by which rule, and what a yes would do now, as the target says in a dry run.

        proposal: its id or a unique prefix. Changes nothing. Raises NotThere for an unknown one, Over for an expired
        one. Beside what the list says: {'error', 'failures', 'episode' of the incident, 'asked_by': {'rule', 'summary',
        'file', 'line', 'mode'}, 'step', 'waiting': failures, 'held_back': [{'name', 'verdict', 'text'}],
        'preview': {'text', 'affects': task instances, 'refused': why it would be, 'error': why nobody can tell}}.
        """

    async def answer(self, proposal: str, command: str, actor: str, reason: str) -> View:
        """Approve or reject, journalled once: a repeated call with the same command changes nothing.

        proposal: its id or a unique prefix. Returns {'proposal', 'command', 'actor', 'at', 'repeated'}.
        Raises NotThere for an unknown one, Over for one that has expired or was answered otherwise.
        """

    async def audit(self, after: int, limit: int, since: Instant) -> View:
        """{'head': the chain's ends, 'entries': `audit_view` of each link with number > after, in order}."""

    async def report(self, since: Duration) -> View:
        """What was healed, held, refused, unknown, unclassified, paged and asked in the last `since`."""


class Surface(Accounts, Protocol):
    """Contract of the daemon towards its operators. Raises StoreError when the store cannot answer."""

    def stuck(self) -> list[str]:
        """The parts that stand still, one text for each. Any asks the supervisor outside to restart the process."""

    async def ready(self) -> tuple[bool, list[str]]:
        """(True, []) or (False, why not, one text for each reason)."""

    async def status(self) -> View:
        """`views.status_view`, with what else the daemon wants to say."""

    async def freeze(self, on: bool, actor: str, reason: str) -> View:
        """Freeze or thaw, journalled. Returns {'frozen': …, 'position': …}."""

    async def incidents(self, *, open_only: bool, limit: int) -> list[View]:
        """`views.incident_view` of each, latest updated first."""

    async def explain_incident(self, incident_id: str) -> View:
        """`views.story_view` of the latest episode, and 'story': runtime.story_text.story_json.

        incident_id: or a unique beginning of it. Raises NotThere, and Several if it is not unique.
        """

    async def explain_action(self, action_id: str) -> View:
        """{'action': …, 'incident': … or None, 'decisions': its own, 'story': …}; ids as for explain_incident."""

    async def explain_event(self, event: Event, topic: str, rules: Sequence[str]) -> View:
        """What the active rules make of an event, and what stands in their way now. Changes nothing.

        topic: where it was read, if it names no deployment itself. rules: ids, none for all. Returns
        {'rule_set': …, 'now': …, 'events': [engine.explain_views.Explained as JSON, one for each form]}.
        Raises NotThere for an unknown rule, and if no rule set is active yet.
        """

    async def unmatched(self, since: Duration) -> View:
        """Final failures of the last `since` that no rule answered, by signature, most frequent first.

        Returns {'since': …, 'route': whom they are paged by, 'unmatched': [rules.unmatched.group_view of each],
        'more': whether some were left off}.
        """
