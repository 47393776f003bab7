"""What is told of scripted stories, word for word as in tests/golden/stories (UPDATE_GOLDEN=1 rewrites), and why."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from remediator.demo.pages import scripted
from remediator.demo.scripts import (
    PAGE,
    POLICY,
    RETRY,
    SCRIPTS,
    Script,
    answer,
    fails,
    ground_of,
    limits,
    line_of,
    told_incident,
)
from remediator.model.outcome import Refused
from remediator.model.reasons import Decision, Reason
from remediator.model.time import HOUR, MINUTE, SECOND
from remediator.rules.spec import Step
from remediator.runtime.story import incident_story
from remediator.runtime.story_action import action_story
from remediator.runtime.story_parts import Ground, Story
from remediator.runtime.story_text import story_json, text_lines
from remediator.testing.timeline import START, Timeline

GOLDEN = Path(__file__).parents[2] / "golden" / "stories"
BY_NAME = {script.name: script for script in SCRIPTS}


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_golden(script: Script) -> None:
    path, told = GOLDEN / f"{script.name}.txt", scripted(script)
    if os.environ.get("UPDATE_GOLDEN") == "1":
        path.write_text(told, "utf-8")
    assert told == path.read_text("utf-8")


def test_no_golden_file_is_left_over() -> None:
    assert {path.stem for path in GOLDEN.iterdir()} == BY_NAME.keys()


def ground(name: str) -> Ground:
    line = BY_NAME[name].play()
    return ground_of(line, told_incident(line))


def text(story: Story) -> str:
    return "\n".join(text_lines(story_json(story)))


def told(name: str) -> str:
    """The incident's story, unwrapped."""
    story = incident_story(ground(name))
    return "\n".join(line.text for line in story.lines)


def action_of(found: Ground, kind: str) -> Story:
    return action_story(found, next(row for row in found.actions if row.action.kind == kind))


def facts(story: Story) -> dict[str, str]:
    return dict(story.facts)


@pytest.mark.parametrize(
    ("name", "done", "left"),
    [
        ("healed", "it helped. Nobody was told.", "Nothing; what was done has helped."),
        ("in_vain", "it did not help. Paged by pager; woken in #data.", "Nothing; it is well again."),
        ("unanswered", "Nothing was changed. Told in #data; paged by pager; woken in #data.", "A person has to fix it"),
        ("blast_radius", "Not done: clear try 1 of load of DAG sales; refused.", "Say yes or no to airflow.retry"),
        ("breaker", "3 × retry (it did not help); retry (it helped).", "See to the others"),
        ("calm_end", "Nothing was changed. Told in #data.", "Nothing; it has calmed down."),
        ("node_ends", "Nothing was changed. Paged by pager; woken in #data.", "Nothing; an event ended it."),
        ("undone", "Paused DAG sales: taken back 2027-01-15 08:30:12Z.", "A person has to fix it."),
    ],
)
def test_the_first_lines_say_what_was_done_and_what_is_left(name: str, done: str, left: str) -> None:
    head = incident_story(ground(name)).head
    assert done in head.done
    assert head.left.startswith(left)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("approved", "A person said yes: by ann: the source is back."),
        ("unanswered", "The question is closed: nobody answered the proposal in time."),
        ("breaker", "The breaker opens, since the rule has not been helping"),
        ("capped", "Not now, too much is being changed at once"),
        ("maintenance", "under maintenance: database upgrade; tried again 2027-01-15 08:20:00Z."),
        ("frozen", "The freeze stops all changes: freeze by ann: migration tonight."),
        ("catching_up", "People are not told yet, since what is read may be long over"),
        ("calm_end", "Rule 'checks-failing' found what it waits for"),
        ("node_ends", "Rule 'node-away' sees it and waits whether it lasts"),
        ("undone", "The change is taken back: DAG sales goes back to what it was."),
    ],
)
def test_what_held_it_and_what_was_found_is_told(name: str, words: str) -> None:
    assert words in told(name)


def test_an_action_names_record_attempt_rule_brakes_and_proof() -> None:
    known = facts(action_of(ground("healed"), "airflow.retry"))
    assert known["record"] == "feed/airflow.events[0]@1205, task.failed of 2027-01-15 08:00:10Z"
    assert known["attempt"].startswith("try 1 of load in dagrun scheduled__2027-01-15T08:00:00+00:00")
    assert known["rule"] == "lost-connection: Retry what lost its connection (mode act, network.toml:3)"
    assert "active since 2027-01-15 08:00:00Z" in known["rule set"]
    assert known["approved"].startswith("nobody was asked")
    assert known["before it"].startswith("A retry is planned: retry 1 of 1 in 30s.")
    assert known["proof"].startswith("Proved: it helped.")
    assert "The scheduler said: the dagrun is success, no task of it is unwell." in known["proof"]


def test_an_action_names_who_approved_it() -> None:
    known = facts(action_of(ground("approved"), "airflow.retry"))
    assert known["approved"] == "by ann: the source is back, 2027-01-15 08:12:00Z"


def test_an_action_in_vain_ends_with_its_own_proof() -> None:
    story = action_of(ground("in_vain"), "airflow.retry")
    assert story.lines[-1].text == "Proved: it did not help. load failed again at try 2."
    assert story.head.left.startswith("See what came after it")


def test_a_refused_action_proves_nothing() -> None:
    assert facts(action_of(ground("blast_radius"), "airflow.retry"))["proof"] == "none, since it was not done"


def test_an_undo_is_told_with_what_it_undoes_and_by_itself() -> None:
    found = ground("undone")
    first, undo = (row for row in found.actions if row.action.kind == "airflow.pause")
    assert facts(action_story(found, first))["undone"].startswith("resume DAG sales, 2027-01-15 08:30:12Z: done")
    assert "due by the rule's own word" in facts(action_story(found, undo))["on whose word"]


def test_a_change_that_nobody_took_back_is_left_to_be_seen() -> None:
    found = ground("undone")
    kept = [row for row in found.actions if getattr(row.action.params, "why", "") != "undone"]
    over = told_incident(BY_NAME["healed"].play())
    story = incident_story(msgspec.structs.replace(found, actions=tuple(kept), incident=over))
    assert story.head.left.startswith("What paused DAG sales is still in force")


@pytest.mark.parametrize("handled", ["now", "a minute later"])
def test_an_open_retry_says_what_is_awaited(handled: str) -> None:
    line = fails(line_of(RETRY).at("10s")).at("15s" if handled == "now" else "70s")
    story = incident_story(ground_of(line, told_incident(line)))
    expected = "retry 1 of 1 in 30s" if handled == "now" else "whether it helps will be seen"
    assert expected in story.head.left


def story_of(line: Timeline, rule: str = "") -> Story:
    """The story of the incident of this rule; '': of the one that is not the daemon's own."""
    own = next((one for one in line.incidents.values() if rule and one.rule == rule), None)
    return incident_story(ground_of(line, own or told_incident(line)))


def test_a_change_that_was_made_is_not_waited_for() -> None:
    line = fails(line_of(Step("airflow.mark", params={"state": "skipped"}), otherwise=()).at("10s")).at("1m")
    story = story_of(answer(line, "approve").at("2m"))
    assert story.head.done.startswith("Marked load of DAG sales as skipped.")
    assert story.head.left.startswith("A person has to fix it.")


def test_a_page_that_did_not_arrive_is_no_change_that_was_refused() -> None:
    line = fails(line_of(PAGE).answer_with("pagerduty.page", Refused("401: bad key")).at("10s")).at("1m")
    story = story_of(line)
    assert "Paged by pager (refused); woken in #data." in story.head.done
    assert "refused" not in story.head.left


def test_a_digest_is_told_in_both_stories() -> None:
    route = msgspec.structs.replace(POLICY.routes["oncall"], pages_per_hour=1)
    line = line_of(PAGE, policy=limits(routes={**POLICY.routes, "oncall": route})).at("10s")
    fails(fails(line).at("30s"), dag_id="orders").at("70m")
    second = next(one for one in line.incidents.values() if one.dag_id == "orders")
    told = incident_story(ground_of(line, second))
    assert "Named in a digest instead of a page." in told.head.done
    digest = story_of(line, "self.page_digest")
    assert "orders.load failed" in digest.head.wrong
    assert "is told again if it goes on" in digest.head.left
    assert dict(digest.facts)["rule"] == "none: it is remediator's own alert, page digest"


def test_many_questions_are_named_by_the_first_and_counted() -> None:
    line = fails(line_of(Step("airflow.mark", params={"state": "skipped"}), otherwise=()).at("10s")).at("1m")
    one = told_incident(line)
    (asked,) = one.proposals
    many = tuple(msgspec.structs.replace(asked, id=f"{number}{asked.id[1:]}") for number in range(5))
    left = incident_story(ground_of(line, msgspec.structs.replace(one, proposals=many))).head.left
    assert left.count("Say yes or no") == 2
    assert left.endswith("3 more wait: `remediator approvals list`.")


def test_an_open_digest_sends_to_what_it_names_and_is_held_by_no_freeze() -> None:
    route = msgspec.structs.replace(POLICY.routes["oncall"], pages_per_hour=1)
    line = line_of(PAGE, policy=limits(routes={**POLICY.routes, "oncall": route})).at("10s")
    fails(fails(line).at("30s"), dag_id="orders").at("1m").freeze().at("2m")
    assert story_of(line, "self.page_digest").head.left.startswith("See to the incidents that it names:")


def test_a_feed_that_nobody_reads_is_a_persons_matter() -> None:
    story = story_of(line_of(PAGE).at("1m").feed_stops().at("20m"), "self.feed_blind")
    assert story.head.left.startswith("A person has to see to remediator itself: feed 'feed' has not been read")
    assert story.lines[0].text.startswith("Nothing is read any more, so silence means nothing")


# -- folding ------------------------------------------------------------------------------------------------------


def lines(*said: tuple[Reason, str], every: int = 30 * SECOND) -> list[str]:
    """The lines that so many decisions become."""
    numbered = enumerate(said)
    decisions = [Decision(number, START + number * every, "k", reason, each) for number, (reason, each) in numbered]
    incident = told_incident(BY_NAME["healed"].play())
    known = Ground(now=START + HOUR, incident=incident, decisions=tuple(decisions))
    return [line.text for line in incident_story(known).lines]


def test_looks_that_say_the_same_are_one_line() -> None:
    found = lines(*[(Reason.STILL_RUNNING, "load is running at try 2")] * 7)
    assert found == [
        "Looked 7 times over 3m. The scheduler was asked and has no end to tell yet: load is running at try 2."
    ]


def test_what_differs_is_not_folded() -> None:
    assert len(lines((Reason.BUDGET_SPENT, "2 of 2"), (Reason.BUDGET_SPENT, "3 of 3"))) == 2


def test_a_storm_is_told_once_and_counted() -> None:
    once: Sequence[tuple[Reason, str]] = (
        (Reason.SUSPECTED, "load try 1 of dagrun r is said to have failed"),
        (Reason.FAILED_FINALLY, "load try 1 of dagrun r: spent"),
        (Reason.INCIDENT_JOINED, "failure 2 of this incident"),
    )
    found = lines(*once * 50)
    assert len(found) == 4
    assert found[3].startswith("The same 49 times more within ")


def test_retries_are_not_folded_away() -> None:
    once = ((Reason.RETRY_ISSUED, "clear of try 1 of load in dagrun r"), (Reason.DID_NOT_HELP, "load failed again"))
    assert len(lines(*once * 3)) == 6


def test_a_story_whose_beginning_is_gone_says_so() -> None:
    found = incident_story(msgspec.structs.replace(ground("healed"), cut=True))
    assert "The beginning is left out" in text(found)


def test_nothing_that_is_kept_is_needed_but_the_incident() -> None:
    line: Timeline = BY_NAME["healed"].play()
    bare = Ground(now=line.now + MINUTE, incident=told_incident(line))
    assert "Nothing was decided, or it is past its retention." in text(incident_story(bare))


def test_an_action_is_led_to_by_the_failure_of_its_own_dagrun() -> None:
    line = line_of(RETRY).at("10s")
    for number in range(3):
        fails(line, run_id=f"manual__{number}").at(f"{20 + number}s")
    found = ground_of(line.at("2m"), told_incident(line))
    rows = [row for row in found.actions if row.action.kind == "airflow.retry"]
    assert len(rows) == 3
    for row in rows:
        known, run_id = facts(action_story(found, row)), getattr(row.action.params, "run_id", "")
        assert known["because"].startswith(f"The failure is final: load try 1 of dagrun {run_id}: ")
        assert known["attempt"].startswith(f"try 1 of load in dagrun {run_id};")
        others = {f"manual__{number}" for number in range(3)} - {run_id}
        assert not any(name in told.text for told in action_story(found, row).lines for name in others)
