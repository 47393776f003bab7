"""Stories of previews: what people are asked about says what it would touch, and waits for that a short time only."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from remediator.engine.saved import encode_state
from remediator.model.action import PREVIEWED, Action, DryRun, Page, Retry
from remediator.model.incident import Proposal
from remediator.model.inputs import Previewed
from remediator.model.reasons import Reason
from remediator.rules.spec import Step
from remediator.testing.replaying import replay
from remediator.testing.scripted import previewed
from remediator.testing.timeline import Timeline
from tests.scenario.test_brakes import POLICY, RETRY, answer, limits, story

RANGE = {"since": "2026-01-01T00:00:00Z", "until": "2026-01-02T00:00:00Z"}
KINDS = {
    "airflow.retry": RETRY,
    "airflow.rerun": Step("airflow.rerun"),
    "airflow.reprocess": Step("airflow.reprocess", params=RANGE),
    "airflow.backfill": Step("airflow.backfill", params=RANGE),
}


def says(text: str, affects: int, **fields: str) -> Callable[[Action], Previewed]:
    """A target that answers so."""
    return lambda action: Previewed(action.id, action.key, text, affects, **fields)


def silent(action: Action) -> None:
    """A target that never answers."""


def failed(step: Step = RETRY, preview: Callable[[Action], Previewed | None] = previewed, **policy: object) -> Timeline:
    """A failure of a deployment that wants to be asked; its rule pages."""
    line = story(step, policy=limits(**policy))
    line.previewed = preview
    return line.fails("load", deployment="careful").at("3s")


def proposals(line: Timeline) -> list[Proposal]:
    return [one for incident in line.incidents.values() for one in incident.proposals]


def previews(line: Timeline) -> list[Action]:
    return [one for one in line.actions if one.kind == "preview"]


def pages(line: Timeline) -> list[Page]:
    return [one.params for one in line.actions if isinstance(one.params, Page)]


def late(line: Timeline, text: str, affects: int, number: int = -1) -> Timeline:
    """The answer comes after all."""
    return line.give(says(text, affects)(previews(line)[number]))


# -- the answer comes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", sorted(PREVIEWED))
def test_the_question_says_what_the_target_answered(kind: str) -> None:
    line = failed(KINDS[kind], says("clears 12 task instances of sales r1: load[1], load[2]", 12))
    (page,) = pages(line)
    (asked,) = page.incident.proposals
    assert asked.preview == "as things are, a yes clears 12 task instances of sales r1: load[1], load[2]"
    assert (asked.action, asked.affects) == (kind, 12)
    (action,) = previews(line)
    assert isinstance(action.params, DryRun)
    assert getattr(action.params.change, "max_affected", None) == 0
    assert action.target == "careful"


def test_nobody_is_asked_and_nobody_can_answer_before_the_preview_has_come() -> None:
    line = failed(preview=silent).at("20s")
    assert (pages(line), proposals(line)) == ([], [])
    late(line, "clears 1 task instance", 1)
    assert [one.preview for one in proposals(line)] == ["as things are, a yes clears 1 task instance"]
    line.expect_page().expect_reason(Reason.PROPOSED)
    assert proposals(line)[0].expires_at == line.now + POLICY.proposal_expiry


def test_the_story_of_an_approved_change_is_the_same_as_without_a_preview() -> None:
    line = failed().expect_page().expect_reason(Reason.PREVIEW_ASKED).expect_reason(Reason.PROPOSED)
    answer(line, "approve", "careful").expect_retry("load")


@pytest.mark.parametrize(
    ("step", "preview"),
    [
        (Step("airflow.pool", params={"pool": "p", "slots": 3}), ""),
        (Step("airflow.backfill", params={"since": "{event.owner}"}), "no preview: airflow.backfill: a field"),
    ],
    ids=["no extent", "unfit"],
)
def test_what_no_dry_run_tells_is_asked_about_at_once(step: Step, preview: str) -> None:
    line = failed(step, silent)
    line.expect_page()
    assert previews(line) == []
    assert [one.preview[: len(preview)] for one in proposals(line)] == [preview]
    assert bool(proposals(line)[0].preview) == bool(preview)


def test_many_task_instances_of_a_dagrun_are_previewed_in_one_question() -> None:
    line = story(RETRY)
    for index in range(5):
        line.fails("load", map_index=index, deployment="careful")
    line.at("10s").expect_page()
    (action,) = previews(line)
    assert isinstance(action.params, DryRun)
    assert isinstance(action.params.change, Retry)
    assert len(action.params.change.tasks) == 5
    assert [one.affects for one in proposals(line)] == [5]


def test_a_question_that_becomes_one_about_more_is_previewed_anew() -> None:
    line = failed()
    for index in range(3):
        line.fails("load", map_index=index, deployment="careful").at(f"{20 * (index + 1)}s")
    assert len(previews(line)) == 3  # of one, two and four
    assert [one.affects for one in proposals(line)] == [4]
    assert len(pages(line)) == 1
    line.expect_reason(Reason.PREVIEWED, 2)


# -- it comes late, or never --------------------------------------------------------------------------------------


def test_the_question_does_not_wait_for_ever_and_says_that_there_is_no_preview() -> None:
    line = failed(preview=silent).at("31s")
    assert pages(line) == []
    line.at("33s").expect_page()
    assert [one.preview for one in proposals(line)] == ["no preview: no answer within 30s"]
    line.at("5m").expect_nothing()
    answer(line, "approve", "careful").expect_retry("load")


def test_a_late_answer_is_shown_but_lets_happen_no_more_than_was_asked_for() -> None:
    line = failed(preview=silent, blast_radius=5).at("1m")
    late(line, "clears 12 task instances", 12).expect_reason(Reason.PREVIEWED)
    assert [(one.preview, one.affects) for one in proposals(line)] == [
        ("as things are, a yes clears 12 task instances", 12)
    ]
    answer(line, "approve", "careful").expect_retry("load")
    assert [one.params.max_affected for one in line.actions if isinstance(one.params, Retry)] == [5]


def test_an_answer_to_a_question_that_is_over_changes_nothing() -> None:
    line = failed(preview=silent).at("1m").expect_page()
    answer(line, "reject", "careful")
    before = [encode_state(state) for state in line.core.states.values() if state is not None]
    late(line, "clears 1 task instance", 1)
    assert [encode_state(state) for state in line.core.states.values() if state is not None] == before
    assert proposals(line) == []


def test_a_target_that_cannot_say_is_asked_about_at_once_with_its_reason() -> None:
    line = failed(preview=says("", 0, error="careful did not answer within 20s")).expect_page()
    assert [one.preview for one in proposals(line)] == ["no preview: careful did not answer within 20s"]


def test_what_is_shown_is_bounded() -> None:
    line = failed(preview=says("clears " + "x" * 9_000, 12, refused="y" * 9_000)).at("40s")
    assert len(proposals(line)[0].preview) < 1_100


# -- the number ---------------------------------------------------------------------------------------------------


def test_a_yes_is_for_the_number_that_was_previewed() -> None:
    line = failed(preview=says("clears 12 task instances", 12), blast_radius=5)
    answer(line, "approve", "careful").expect_retry("load")
    assert [one.params.max_affected for one in line.actions if isinstance(one.params, Retry)] == [12]


# -- nothing would be changed -------------------------------------------------------------------------------------


def test_a_change_that_is_needless_by_now_is_looked_at_again_and_not_asked_about() -> None:
    line = story(RETRY)

    def cleared_by_hand(action: Action) -> Previewed:
        line.look_says("load", "running", 2, deployment="careful")
        return says("clears no task instance of sales r1", 0, refused="somebody was faster")(action)

    line.previewed = cleared_by_hand
    line.fails("load", deployment="careful").at("3s")
    line.look_says("load", "success", 2, dagrun="success", deployment="careful").task_success(
        "load", 2, deployment="careful"
    ).at("10m")
    line.expect_nothing().expect_open(0)
    assert not any(one.proposals for each in line.changes for one in each.incidents)


def test_a_change_that_would_be_refused_though_the_failure_goes_on_is_asked_about_saying_so() -> None:
    line = failed(preview=says("clears 3 task instances of sales r1", 3, refused="it is on the list")).at("40s")
    line.expect_page()
    text = "as things are, a yes clears 3 task instances of sales r1, and is refused: it is on the list"
    assert [(one.preview, one.affects) for one in proposals(line)] == [(text, 3)]


# -- restarts -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("preview", [previewed, silent], ids=["answered", "silent"])
def test_a_restart_anywhere_changes_nothing_of_it(preview: Callable[[Action], Previewed | None]) -> None:
    line = failed(preview=preview).at("1m")
    answer(line, "approve", "careful").at("2m")
    once = replay(line.rule_set, line.journal, ())
    again = replay(line.rule_set, line.journal, range(len(line.journal)), reload=True)
    assert [one for each in again for one in each.actions] == [one for each in once for one in each.actions]
    assert [one for each in again for one in each.decisions] == [one for each in once for one in each.decisions]
