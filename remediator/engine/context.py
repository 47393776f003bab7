"""What a step sees and where it writes its effects. Built by the core for every step; holds no state of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from remediator.engine.ledger_state import LedgerState
from remediator.engine.state import ConditionsState, WorldState
from remediator.model.action import Action
from remediator.model.event import Event
from remediator.model.firing import Firing
from remediator.model.incident import Incident, Proposal
from remediator.model.policy import DeploymentPolicy, Policy
from remediator.model.reasons import Decision, Reason
from remediator.model.time import Instant
from remediator.model.truth import DagRunRef

if TYPE_CHECKING:
    from remediator.rules.index import Matched, RuleSet


class Alert(msgspec.Struct, frozen=True):
    """Something wrong with remediator's own sight or reach: the world makes an incident of it.

    route: who is told; '': who is told of the daemon itself. paged: they are woken. is_over: it ends, for what the text
    says. proposals: what people may answer.
    """

    kind: str
    subject: str
    text: str
    reason: Reason = Reason.SELF_ALERT
    route: str = ""
    paged: bool = False
    is_over: bool = False
    proposals: tuple[Proposal, ...] = ()


class Calm(msgspec.Struct, frozen=True):
    """What a detector found is over: the case of its incident ends. event: the last one it had seen.

    home: (deployment, dag_id) whose state has the case.
    """

    rule: str
    case: str
    event: Event
    reason: Reason
    text: str
    home: tuple[str, str]


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
    events: list[Event] = []
    """What surveys found to have begun or ended."""
    finals: list[tuple[Event, Matched]] = []
    """Final failures, with what they met: detectors may count them."""
    firings: list[Firing] = []
    """Firings of detectors: incidents, and members of compounds."""
    calms: list[Calm] = []
    """Cases of detectors that are over."""
    wakes: list[str] = []
    """Clocks on which everybody is to be woken."""
    touched: set[str] = set()
    """Shared keys that were changed."""


class Context:
    """One step's view: the journalled now, the rules, the world (to read), and the effects (to add to)."""

    __slots__ = ("conditions", "effects", "key", "ledger", "now", "policy", "position", "rules", "world")

    def __init__(
        self,
        *,
        key: str,
        position: int,
        now: Instant,
        rules: RuleSet,
        world: WorldState,
        ledger: LedgerState,
        conditions: ConditionsState,
        effects: Effects,
    ) -> None:
        self.key = key
        self.position = position
        self.now = now
        self.rules = rules
        self.policy: Policy = rules.policy
        self.world = world
        self.ledger = ledger
        self.conditions = conditions
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

    def touch(self, shared_key: str) -> None:
        """A shared state was changed: it is saved with the step."""
        self.effects.touched.add(shared_key)

    def act(self, action: Action) -> None:
        """Want an effect."""
        self.effects.actions.append(action)
