"""What a step sees and where it writes its effects. Built by the core for every step; holds no state of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from remediator.engine.state import WorldState
from remediator.model.action import Action
from remediator.model.incident import Incident
from remediator.model.policy import DeploymentPolicy, Policy
from remediator.model.reasons import Decision, Reason
from remediator.model.time import Instant
from remediator.model.truth import DagRunRef

if TYPE_CHECKING:
    from remediator.rules.index import RuleSet


class Alert(msgspec.Struct, frozen=True):
    """Something wrong with remediator's own sight or reach: the world makes an incident of it."""

    kind: str
    subject: str
    text: str
    reason: Reason = Reason.SELF_ALERT


class Effects(msgspec.Struct):
    """What steps want done, in the order in which they wanted it."""

    actions: list[Action] = []
    cancels: list[tuple[str, str]] = []
    incidents: dict[tuple[str, int], Incident] = {}
    """(id, episode) -> its latest form."""
    decisions: list[Decision] = []
    alerts: list[Alert] = []
    nudges: list[tuple[str, DagRunRef]] = []
    """(deployment, dagrun): look at it, a sweep found failures there."""


class Context:
    """One step's view: the journalled now, the rules, the world (to read), and the effects (to add to)."""

    __slots__ = ("effects", "key", "now", "policy", "position", "rules", "world")

    def __init__(
        self, *, key: str, position: int, now: Instant, rules: RuleSet, world: WorldState, effects: Effects
    ) -> None:
        self.key = key
        self.position = position
        self.now = now
        self.rules = rules
        self.policy: Policy = rules.policy
        self.world = world
        self.effects = effects

    def deployment(self, name: str) -> DeploymentPolicy | None:
        """The deployment's policy; None if it was removed from the configuration."""
        return self.policy.deployments.get(name)

    def decide(self, reason: Reason, text: str, *, incident: str = "", action_id: str = "", rule: str = "") -> None:
        """Add one line to the story."""
        self.effects.decisions.append(
            Decision(self.position, self.now, self.key, reason, text, incident, action_id, rule)
        )

    def changed(self, incident: Incident) -> None:
        """Make an incident's new form visible."""
        self.effects.incidents[incident.id, incident.episode] = incident

    def act(self, action: Action) -> None:
        """Want an effect."""
        self.effects.actions.append(action)
