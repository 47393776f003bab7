"""Key state: what the engine remembers, in the one shape in which it is saved.

Steps own the state they are given and change it in place; the controller drops every state whose commit failed.
Nothing here decides.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from remediator.engine.detector_state import DetectorState
from remediator.engine.ledger_state import LedgerState
from remediator.model.action import Pause, Pool, Scale
from remediator.model.event import UNMAPPED_INDEX, Event
from remediator.model.firing import FiringView
from remediator.model.incident import Incident, Proposal
from remediator.model.policy import Destination, ReportTimes
from remediator.model.time import Instant
from remediator.model.truth import Finding

NO_DAGRUN = ""
"""The pseudo dagrun under which the cases of firings are kept: they hang on none."""


class CasePhase(StrEnum):
    """Where the response to one final failure stands."""

    PLANNED = "planned"
    """A retry waits for its backoff."""
    ISSUED = "issued"
    """A change is in the outbox."""
    VERIFYING = "verifying"
    """The retry was delivered; its proof is awaited."""
    CHECKING = "checking"
    """The retry was refused; a look tells what is left to do."""
    HELD = "held"
    """Telling people, or acting, waits for a feed, a thaw or a look."""
    PROPOSED = "proposed"
    """A person is asked whether the step may be done."""
    WAITING = "waiting"
    """The next step's own wait, or a quiet time, is not over."""
    TOLD = "told"
    """Nothing is left to do but to wait for the end."""


class Case(msgspec.Struct, omit_defaults=True):
    """One final failure and the response to it.

    stage, index: the step of the rule being followed ('do' or 'otherwise'; index past the end: none left).
    due: journalled now at which the phase ends by itself. feed_due: watermark that ends a hold. thaw: a thaw ends it.
    breaker: the hold is that of an open breaker. Waiting or planned without a due: it waits for a look.
    hold_over: holds no longer apply to this case. waits: when the wait of a step ('do/1'), for a breaker, for a
    proof or a beginning is over; known from its first turn on, also if the failure comes again meanwhile. view, match:
    the firing and named groups that texts may name.
    """

    event: Event
    phase: CasePhase
    rule: str
    incident: str
    try_number: int
    instance_id: str = ""
    unverified: bool = False
    stage: str = "do"
    index: int = 0
    action_id: str = ""
    due: Instant | None = None
    feed_due: Instant | None = None
    thaw: bool = False
    breaker: bool = False
    hold_over: bool = False
    told: bool = False
    why: str = ""
    waits: dict[str, Instant] = {}
    view: FiringView | None = None
    match: dict[str, str] = {}
    refused: bool = False
    """A step that changes something was forbidden or in vain: `otherwise` follows the last one of `do`."""
    signature: str = ""
    """Of its error."""
    proposal: str = ""
    change: str = ""
    """The kind of the change that was issued last, whatever the rule says by now."""
    proves: bool = False
    """That change is of the failed dagrun itself, so that its next looks tell whether it helped."""
    made: str = ""
    """Was that change made: 'yes', 'perhaps', or '' for no, or not yet."""
    max_tries: int = 0
    """As that change set it: the last try of its own is one more. 0: no look has shown it."""
    failed_again: int = 0
    """The highest try after that change which an event said has failed."""
    asked: str = ""
    """What the open proposal is for, as approval_of names it."""
    approved: dict[str, str] = {}
    """What a person let happen, as approval_of names it, and who that was."""
    granted: str = ""
    """The proposal that was approved last."""
    affects: int = 0
    """How many task instances the open proposal, or the one that was approved last, said that it touches; 0: unsaid."""
    capped: int = 0
    """How often its turn was put off because too much is under way."""
    told_meanwhile: bool = False
    """People were told that a person's pause holds it up."""
    seen: Instant = 0
    """When a look last showed that it goes on."""
    spent: Instant = 0
    """As which instant the change that was issued last counts against its budgets."""


class Unaccounted(msgspec.Struct, omit_defaults=True):
    """A final failure that a look found and no event announced yet.

    confirming: it waited for its event so long that a fresh look must say whether it is still true.
    passed: its feed's watermark has passed it, so that its event is lost, and not only late.
    """

    try_number: int
    instance_id: str
    operator: str
    failed_at: Instant
    found_at: Instant
    feed_due: Instant
    due: Instant
    confirming: bool = False
    passed: bool = False


class DagRunState(msgspec.Struct, omit_defaults=True):
    """One dagrun with trouble, now or lately.

    Task instances are keyed 'task_id' or 'task_id[index]'.
    suspects: announced failures that no look has judged, the highest try of each.
    judged: the highest try that was judged final: what makes a repeated or late fact change nothing.
    attempts: retries issued, by task and rule; counted here, never by Airflow's try_number.
    issued: clears ever wanted, refused ones too: an action's id must never come again for another intent.
    ended: the latest end of the dagrun that was told or found.
    """

    suspects: dict[str, Event] = {}
    unaccounted: dict[str, Unaccounted] = {}
    cases: dict[str, Case] = {}
    judged: dict[str, int] = {}
    attempts: dict[str, dict[str, int]] = {}
    issued: int = 0
    look: str = ""
    look_due: Instant | None = None
    looks: int = 0
    looks_in_vain: int = 0
    unreachable_since: Instant | None = None
    incomplete_since: Instant | None = None
    ended: Instant | None = None
    touched: Instant = 0
    restored: bool = False
    """Its store came from a backup, and no look has answered since."""
    paused: bool = False
    """Its DAG was paused by a person when it was last looked at."""

    @property
    def is_open(self) -> bool:
        """Is anything left to be decided or awaited?"""
        return bool(self.suspects or self.unaccounted or self.cases or self.look or self.look_due is not None)


class Told(msgspec.Struct, omit_defaults=True):
    """One destination that was told of an incident. state: 'pending', 'done', 'failed', 'unknown'.

    tries: tellings that failed before this one.
    """

    destination: Destination
    route: str
    action_id: str
    paged: bool
    state: str = "pending"
    ref: str = ""
    stale: bool = False
    tries: int = 0
    name: str = "tell"
    of_end: bool = False
    """It tells that the incident is over: unlike others it is wanted after that."""


class OpenIncident(msgspec.Struct, omit_defaults=True):
    """An incident and who has been told of it. `edits` numbers the changes told since."""

    incident: Incident
    told: list[Told] = []
    edits: int = 0
    digested: list[str] = []
    """Routes that it was not told to because they had had their pages: their digest counts it once."""


class Undo(msgspec.Struct, frozen=True, omit_defaults=True):
    """A change that is taken back at `due`. action_id: of the change itself."""

    due: Instant
    target: str
    params: Pause | Pool | Scale
    incident: str
    action_id: str
    held: bool = False
    """It is due, and waits for a thaw."""
    since: Instant = 0
    """When the change was issued."""
    tries: int = 0
    """How often it was issued and its time ran out."""


class Question(msgspec.Struct, omit_defaults=True):
    """A question to people whose change has been, or is to be, previewed.

    proposal: as people will be asked; of one that they were asked, only its id counts. text: why, as it is told.
    until: people are asked then at the latest; None: they were. action_id: the preview; '': it is to be asked for.
    """

    proposal: Proposal
    text: str = ""
    until: Instant | None = None
    action_id: str = ""


class DagState(msgspec.Struct, omit_defaults=True):
    """All that is decided together for one DAG of one deployment.

    budgets: spent changes by task, as instants, oldest first. episodes: how often each incident was opened.
    forget_at: when the longest untouched dagrun may be forgotten, or before that.
    ending: resolved incidents by the first telling that was still under way, whose message must be brought to the end.
    """

    deployment: str
    dag_id: str
    dagruns: dict[str, DagRunState] = {}
    budgets: dict[str, list[Instant]] = {}
    incidents: dict[str, OpenIncident] = {}
    episodes: dict[str, int] = {}
    ending: dict[str, OpenIncident] = {}
    tails: dict[str, str] = {}
    """Questions for the end of a log that are under way, and the incidents that want it."""
    questions: dict[str, Question] = {}
    """By proposal: those whose preview is awaited."""
    undos: list[Undo] = []
    undoing: dict[str, Undo] = {}
    forget_at: Instant = 0
    tags: tuple[str, ...] | None = ()
    """The DAG's tags as an event or a look of a failure last told them; None: the scheduler would not say."""
    pausing: dict[str, tuple[str, bool]] = {}
    """Pauses of ours that are under way, by action: 'deployment/dag', and whether it is paused or let go on."""
    undo_plans: dict[str, Undo] = {}
    """Changes that are under way, and how each will be taken back; `due` is how long after it was made."""

    @property
    def is_empty(self) -> bool:
        """Nothing worth a row."""
        told = self.incidents or self.episodes or self.ending
        changing = self.undos or self.undoing or self.undo_plans or self.pausing
        return not (self.dagruns or self.budgets or told or changing)


class ConditionState(msgspec.Struct, omit_defaults=True):
    """One condition of infrastructure: since when, until when unless renewed, and when it was said to have ended."""

    since: Instant
    until: Instant
    ended: Instant | None = None


class ConditionsState(msgspec.Struct, omit_defaults=True):
    """place (deployment or infrastructure) -> condition's name -> scope -> its state."""

    places: dict[str, dict[str, dict[str, ConditionState]]] = {}


class FeedState(msgspec.Struct, omit_defaults=True):
    """How complete a feed is. partitions: 'topic/partition' -> read up to; topics: topic -> number of partitions.

    heard: 'topic/partition' -> when it was last heard of.
    """

    partitions: dict[str, Instant] = {}
    topics: dict[str, int] = {}
    heard: dict[str, Instant] = {}
    heard_at: Instant = 0
    blind: bool = False


class SweepState(msgspec.Struct, omit_defaults=True):
    """Where the reconciler stands with one deployment."""

    since: Instant
    due: Instant
    number: int = 0
    pending: str = ""
    failing_since: Instant | None = None


class SurveyState(msgspec.Struct, omit_defaults=True):
    """What the last survey of one deployment found, by identity, when each was last said, and when the next is due."""

    due: Instant
    number: int = 0
    pending: str = ""
    found: dict[str, Finding] = {}
    told: dict[str, Instant] = {}


class ReportState(msgspec.Struct, omit_defaults=True):
    """When the next report is due and what it begins with. times: as it was configured. pending: the question."""

    times: ReportTimes
    due: Instant
    since: Instant
    pending: str = ""


class Freeze(msgspec.Struct, frozen=True):
    """Who stopped all changes, when and why."""

    by: str
    at: Instant
    why: str


class WorldState(msgspec.Struct, omit_defaults=True):
    """What is not one DAG's. `now` never goes back; `armed_at` is when this program last began to decide.

    freeze: of the freeze that is on; None also if a version that did not keep it pressed it.
    """

    now: Instant = 0
    armed_at: Instant = 0
    frozen: bool = False
    freeze: Freeze | None = None
    rule_set: str = ""
    feeds: dict[str, FeedState] = {}
    sweeps: dict[str, SweepState] = {}
    incidents: dict[str, OpenIncident] = {}
    episodes: dict[str, int] = {}
    alert_due: dict[str, Instant] = {}
    surveys: dict[str, SurveyState] = {}
    report: ReportState | None = None
    ending: dict[str, OpenIncident] = {}


def task_key(task_id: str, map_index: int) -> str:
    """How a task instance is keyed inside its dagrun."""
    return task_id if map_index == UNMAPPED_INDEX else f"{task_id}[{map_index}]"


# In insertion order, which decoding keeps: a state that was saved and loaded is walked in the same order as one that
# was not, or a replay would tell another story. Nothing in a state is a set.
State = DagState | DetectorState | WorldState | LedgerState | ConditionsState
KeyState = DagState | DetectorState
"""States that are loaded when they are needed; the others are always there."""
