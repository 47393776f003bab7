"""Small records through the real engine: what the rules did, what was assumed, what two rule sets differ in."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from remediator.backtest.answers import Assume
from remediator.backtest.compare import difference
from remediator.backtest.policy import load_open
from remediator.backtest.reading import Read
from remediator.backtest.report import Outcome
from remediator.backtest.revision import NoRevision, rules_of_revision
from remediator.backtest.run import decide
from remediator.backtest.spool import Spool
from remediator.backtest.survey import Survey
from remediator.model.event import ConditionInfo, ErrorInfo, Event
from remediator.model.time import DAY, HOUR, SECOND, Instant
from remediator.rules.index import RuleSet

START: Instant = 1_800_000_000 * SECOND
RESET = """
[[rule]]
id = "reset"
mode = "{mode}"
on = "task.failed_finally"
where = {{ "error.message" = {{ matches = "reset" }} }}
[[rule.do]]
action = "airflow.retry"
max_attempts = 2
backoff = {{ initial = "30s", factor = 1, max = "30s", jitter = 0 }}
[[rule.otherwise]]
action = "page"
to = "oncall"
"""


def failed(second: int, dag: str = "d", *, error: str = "reset by peer", run: str = "r", number: int = 1) -> Event:
    return Event("task.failed", START + second * SECOND, namespace="prod", dag_id=dag, run_id=run, task_id="t",
                 try_number=number, retries=0, error=ErrorInfo("OSError", error))  # fmt: skip


def ended(second: int, state: str = "failed", dag: str = "d", run: str = "r") -> Event:
    return Event(f"dagrun.{state}", START + second * SECOND, namespace="prod", dag_id=dag, run_id=run)


def outcome(
    folder: Path,
    *events: Event,
    mode: str = "act",
    assume: Assume = Assume.HELPED,
    as_if_act: bool = False,
    text: str = "",
) -> Outcome:
    file = folder / "rules.toml"
    file.write_text(text or RESET.format(mode=mode))
    spec = load_open([file])
    with Spool() as spool:
        survey = Survey(RuleSet(spec).wants, None, spool)
        for event in events:
            survey.take(Read(event.time, "", [event]), 1)
        survey.finish()
        return decide(spec, survey, as_if_act=as_if_act, assume=assume)


def counts(found: Outcome) -> dict[str, int]:
    names = ("fired", "would have fired", "retried", "helped", "did not help", "paged", "unclassified")
    return {name: number for name in names if (number := found.count(name))}


def test_a_retry_that_helps(tmp_path: Path) -> None:
    found = outcome(tmp_path, failed(10), ended(12))
    assert counts(found) == {"fired": 1, "retried": 1, "helped": 1}
    assert (found.opened, found.still_open) == (1, 0)


def test_retries_that_are_in_vain_end_in_a_page(tmp_path: Path) -> None:
    found = outcome(tmp_path, failed(10), ended(12), assume=Assume.FAILED)
    assert counts(found) == {"fired": 1, "retried": 2, "did not help": 2, "paged": 1}
    assert found.stopped() == {"attempts_spent": 1}
    assert (found.opened, found.still_open) == (1, 1)


def test_what_airflow_retries_itself_is_nobodys_business(tmp_path: Path) -> None:
    again = Event(
        "task.started", START + 40 * SECOND, namespace="prod", dag_id="d", run_id="r", task_id="t", try_number=2
    )
    first = Event("task.failed", START, namespace="prod", dag_id="d", run_id="r", task_id="t", try_number=1, retries=2)
    found = outcome(tmp_path, first, again, ended(60, "success"))
    assert counts(found) == {}


def test_a_rule_that_observes_would_have_fired_and_is_judged_as_if_it_acted(tmp_path: Path) -> None:
    observed = outcome(tmp_path, failed(10), ended(12), mode="observe")
    assert counts(observed) == {"would have fired": 1, "paged": 1, "unclassified": 1}
    assert observed.unclassified == {"OSError: reset by peer": 1}
    promoted = outcome(tmp_path, failed(10), ended(12), mode="observe", as_if_act=True)
    assert counts(promoted) == {"fired": 1, "retried": 1, "helped": 1}


def test_budgets_are_counted_in_virtual_time(tmp_path: Path) -> None:
    text = RESET.format(mode="act").replace("mode =", "budget = { per_hour = 1 }\nmode =")
    close = [one for n in range(3) for one in (failed(60 * n, run=f"r{n}"), ended(60 * n + 1, run=f"r{n}"))]
    found = outcome(tmp_path, *close, text=text)
    assert (found.count("retried"), found.stopped()) == (1, {"budget_spent": 2})
    hour = HOUR // SECOND + 100
    apart = [one for n in range(3) for one in (failed(hour * n, run=f"r{n}"), ended(hour * n + 1, run=f"r{n}"))]
    found = outcome(tmp_path, *apart, text=text)
    assert (found.count("retried"), found.stopped()) == (3, {})


def test_silence_of_days_costs_nothing_and_changes_nothing(tmp_path: Path) -> None:
    much = 30 * DAY // SECOND
    later = failed(much, "later", error="KeyError"), ended(much + 1, dag="later")
    found = outcome(tmp_path, failed(0, error="KeyError"), ended(1), *later)
    assert counts(found) == {"paged": 2, "unclassified": 2}
    assert not found.alerts


def test_the_records_end_is_no_proof_of_absence(tmp_path: Path) -> None:
    text = """
[[rule]]
id = "quiet-after"
mode = "act"
on = "check.failed"
per = ["subject"]
hold_for = "{hold}"
[rule.ended_by]
on = "check.passed"
[[rule.do]]
action = "page"
to = "oncall"
"""
    broken = Event("check.failed", START, namespace="prod", subject="s")
    other = Event("check.failed", START + 600 * SECOND, namespace="prod", subject="other")
    assert outcome(tmp_path, broken, other, text=text.format(hold="5m")).count("paged") == 1
    assert outcome(tmp_path, broken, other, text=text.format(hold="20m")).count("paged") == 0


def test_infrastructure_concerns_every_deployment_found(tmp_path: Path) -> None:
    text = RESET.format(mode="act").replace("mode =", 'during = { condition = "node.not_ready" }\nmode =')
    down = Event("node.not_ready", START, namespace="cluster", condition=ConditionInfo("node.not_ready", "node/a"))
    assert counts(outcome(tmp_path, down, failed(10), ended(12), text=text))["retried"] == 1
    assert "retried" not in counts(outcome(tmp_path, failed(10), ended(12), text=text))


@pytest.mark.parametrize(("mode", "effect"), [("act", "fired"), ("observe", "would have fired")])
def test_a_detectors_firing_is_counted_once(tmp_path: Path, mode: str, effect: str) -> None:
    text = f"""
[[rule]]
id = "many"
mode = "{mode}"
on = "task.failed"
per = ["dag_id"]
window = {{ length = "10m", at_least = 3 }}
[[rule.do]]
action = "notify"
to = "team"
"""
    events = [failed(n, run=f"r{n}", error="boom") for n in range(3)]
    found = outcome(tmp_path, *events, text=text)
    assert {key: n for (rule, _, key), n in found.rows.items() if rule == "many" and "fired" in key} == {effect: 1}
    assert found.count("notified") == (mode == "act")


def test_the_same_record_gives_the_same_outcome(tmp_path: Path) -> None:
    events = [
        one for n in range(20) for one in (failed(7 * n, f"d{n % 3}", run=f"r{n}"), ended(7 * n + 5, run=f"r{n}"))
    ]
    assert outcome(tmp_path, *events) == outcome(tmp_path, *events)


def test_the_difference_names_what_is_new_gone_and_changed(tmp_path: Path) -> None:
    events = [failed(0), ended(1), failed(5, "x", error="boom"), ended(6, dag="x")]
    before = outcome(tmp_path, *events)
    other_rule = RESET.format(mode="act").replace('"reset"', '"boom"', 2)
    after = outcome(tmp_path, *events, text=other_rule)
    found = difference(before, after)
    assert {(one.rule, one.effect, one.title) for one in found.new} == {
        ("boom", "fired", "prod: x.t failed"), ("boom", "retried", "prod: x.t failed"),
        ("boom", "helped", "prod: x.t failed"), ("unclassified", "unclassified", "prod: d.t failed"),
        ("unclassified", "paged", "prod: d.t failed"),
    }  # fmt: skip
    assert {one.rule for one in found.gone} == {"reset", "unclassified"}
    assert ("fired", 1, 1) not in found.totals
    assert not difference(before, before)
    in_vain = difference(outcome(tmp_path, *events, failed(3000, run="q"), ended(3001, run="q")), before)
    assert [(one.effect, one.before, one.after) for one in in_vain.changed] == [
        ("fired", 2, 1), ("helped", 2, 1), ("retried", 2, 1),
    ]  # fmt: skip


# -- revisions ----------------------------------------------------------------------------------------------------


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", "-C", str(folder), *identity, *arguments], check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    top = tmp_path / "top"
    (top / "rules").mkdir(parents=True)
    git(top, "init", "-q")
    for text in ("one", "two"):
        (top / "rules" / "a.toml").write_text(text)
        git(top, "add", ".")
        git(top, "commit", "-q", "-m", text)
    return top / "rules"


def test_rules_of_a_revision(repository: Path, tmp_path: Path) -> None:
    folder = rules_of_revision(repository, "HEAD~1", tmp_path / "out")
    assert [file.read_text() for file in folder.iterdir()] == ["one"]
    assert rules_of_revision(repository / "a.toml", "HEAD", tmp_path / "file").read_text() == "two"


@pytest.mark.parametrize(("revision", "reason"), [("HEAD~9", "neither a path nor"), ("--help", "no revision")])
def test_a_revision_that_is_none(repository: Path, tmp_path: Path, revision: str, reason: str) -> None:
    with pytest.raises(NoRevision, match=reason):
        rules_of_revision(repository, revision, tmp_path / "out")


def test_rules_that_the_revision_has_not(repository: Path, tmp_path: Path) -> None:
    (repository / "new.toml").write_text("")
    with pytest.raises(NoRevision, match=r"rules/new.toml is not in 'HEAD'"):
        rules_of_revision(repository / "new.toml", "HEAD", tmp_path / "out")


def test_rules_outside_of_a_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(NoRevision, match="no git repository"):
        rules_of_revision(tmp_path, "HEAD", tmp_path / "out")


def test_no_git(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NoRevision, match="needs git"):
        rules_of_revision(repository, "HEAD", tmp_path / "out")
