"""Lint: each kind of finding, and the rules nearest to it that are fine."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from remediator.codecs.alertmanager import _TYPES as ALERT_TYPES
from remediator.codecs.kubernetes_reasons import REASONS
from remediator.codecs.openlineage import _TYPES as OPENLINEAGE_TYPES
from remediator.model.policy import Allow, DeploymentPolicy, Policy, Route
from remediator.rules.lint import Finding, lint
from remediator.rules.lint_lines import located
from remediator.rules.load import load_rules, rule_paths
from remediator.rules.types import TYPES

ROOT = Path(__file__).parents[3]
GOLDEN = ROOT / "tests" / "golden" / "rules" / "lint"
POLICY = Policy(
    routes={name: Route(name) for name in ("default", "data-oncall")},
    deployments={
        "prod-eu": DeploymentPolicy("prod-eu", "main"),
        "cluster": DeploymentPolicy("cluster", "main", has_api=False, serves=("*",)),
    },
)
LOG = '\n[[rule.do]]\naction = "log"\n'
RETRY = '\n[[rule.do]]\naction = "airflow.retry"\n'
FINAL = 'on = "task.failed_finally"\n'


def found(tmp_path: Path, text: str, policy: Policy | None = None) -> list[Finding]:
    file = tmp_path / "a.toml"
    file.write_text(text, encoding="utf-8")
    return lint(load_rules([file], POLICY if policy is None else policy), policy)


def codes(findings: list[Finding]) -> list[str]:
    return [finding.code for finding in findings]


def of_where(tmp_path: Path, where: str) -> list[str]:
    return codes(found(tmp_path, f'[[rule]]\nid = "a"\n{FINAL}where = {{ {where} }}{LOG}'))


@pytest.mark.parametrize("file", sorted(GOLDEN.glob("*.toml")), ids=lambda file: file.stem)
def test_findings_are_as_recorded(file: Path) -> None:
    """UPDATE_GOLDEN=1 rewrites the expected lines."""
    findings = located(lint(load_rules([file], POLICY), POLICY), rule_paths([file]))
    text = "".join(f"{finding}\n" for finding in findings)
    golden = file.with_suffix(".txt")
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(text, encoding="utf-8")
    assert text
    assert text == golden.read_text(encoding="utf-8")


def test_shipped_rules_are_clean() -> None:
    assert lint(load_rules([ROOT / "rules"], None)) == []


@pytest.mark.parametrize(
    "where",
    [
        'dag_id = { equals = "a", not = "a" }',
        'dag_id = { in = ["a", "b"], not = ["b", "a"] }',
        'dag_id = { in = ["a", "b"], glob = "c*" }',
        'dag_id = { equals = "a", matches = "^b" }',
        'dag_id = "a", all = [{ dag_id = "b" }]',
        'dag_id = "prod-a*", all = [{ dag_id = "prod-b*" }]',
        'dag_id = ["a-*", "b-*"], all = [{ dag_id = ["c-*", "ab*"] }]',
        'dag_id = { exists = false, glob = "a*" }',
        'dag_id = { exists = false, not = "a" }',
        'dag_id = { not = "*" }',
        'dag_id = { glob = "a*", not = "a*" }',
        "dag_id = 3",
        "dag_id = { gt = 3 }",
        'try_number = "1"',
        'try_number = { glob = "1*" }',
        "try_number = { gt = 3, lt = 3 }",
        "try_number = { gte = 3, lt = 3 }",
        "try_number = { gt = 4 }, all = [{ try_number = { lte = 4 } }]",
        "try_number = { equals = 3, gt = 3 }",
        "try_number = { in = [1, 2], gte = 3 }",
        'duration = { gt = "1h", lt = "30m" }',
        'time = { gte = "2026-11-02T00:00:00Z", lt = "2026-11-01T00:00:00Z" }',
        '"attributes.rows" = { gt = "1m", lt = 60 }',
        '"attributes.x" = { equals = "a", not = "a*" }',
        'tags = { in = ["a"], not = "a" }',
        '"condition.active" = "yes"',
        'dag_id = "a", any = [{ dag_id = "b" }, { dag_id = "c*" }]',
        'any = [{ dag_id = "a", any = [{ dag_id = "b" }] }]',
    ],
)
def test_where_that_cannot_hold(tmp_path: Path, where: str) -> None:
    assert of_where(tmp_path, where) == ["never-matches"]


@pytest.mark.parametrize(
    "where",
    [
        'dag_id = { in = ["a", "b"], not = "a" }',
        'dag_id = { glob = "a*", not = "ab*" }',
        'dag_id = "prod-*", all = [{ dag_id = "prod-a*" }]',
        'dag_id = "*-prod", all = [{ dag_id = "a*" }]',
        'dag_id = "a?b", all = [{ dag_id = "a[xy]b" }]',
        'tags = "a", all = [{ tags = "b" }]',
        'tags = { exists = false, not = "a" }',
        '"attributes.x" = "a", all = [{ "attributes.x" = "b" }]',
        '"attributes.x" = { gt = "1m", lt = 61 }',
        "try_number = { gte = 3, lte = 3 }",
        "try_number = { in = [1, 3], gt = 2 }",
        'dag_id = { exists = true, glob = "a*" }',
        "dag_id = { exists = false }",
        'dag_id = { equals = { field = "job" }, not = "a" }',
        'retries = { gt = { field = "try_number" }, lt = 5 }',
        '"condition.active" = true',
        "map_index = -1",
        'dag_id = "a", not = { dag_id = "a", task_id = "b" }',
        'time = { between = ["22:00", "06:00"], days = ["sat"] }',
    ],
)
def test_where_that_can_hold(tmp_path: Path, where: str) -> None:
    assert of_where(tmp_path, where) == []


def test_a_branch_that_cannot_hold_is_only_a_warning(tmp_path: Path) -> None:
    assert of_where(tmp_path, 'dag_id = "a", any = [{ dag_id = "b" }, { task_id = "c" }]') == ["dead-branch"]


@pytest.mark.parametrize("pattern", [".*", "", "a?", "(x|)", "(?s).*", "^", "[a-z]*$"])
def test_patterns_that_are_found_everywhere(tmp_path: Path, pattern: str) -> None:
    assert of_where(tmp_path, f"\"error.message\" = {{ matches = '{pattern}' }}") == ["matches-everything"]


@pytest.mark.parametrize("pattern", ["a", ".+", "^$", "^[a-z]*$", r"\\d*x", "(?i)timed? ?out"])
def test_patterns_that_are_not(tmp_path: Path, pattern: str) -> None:
    assert of_where(tmp_path, f"\"error.message\" = {{ matches = '{pattern}' }}") == []


def test_globs_that_cover_everything(tmp_path: Path) -> None:
    assert of_where(tmp_path, 'dag_id = "*", any = [{ task_id = ["a", "**"] }]') == ["matches-everything"] * 2
    assert codes(found(tmp_path, f'[[rule]]\nid = "a"\non = "*"{LOG}')) == ["matches-everything"]


@pytest.mark.parametrize(
    ("on", "hint"),
    [
        ("task.failed_finaly", "task.failed_finally"),
        ("dagrun.fail", "dagrun.failed"),
        ("node.lost", None),
        ("task.x*", ""),
    ],
)
def test_types_that_no_codec_gives(tmp_path: Path, on: str, hint: str | None) -> None:
    (finding,) = found(tmp_path, f'[[rule]]\nid = "a"\non = "{on}"{LOG}')
    assert (finding.code, finding.severity) == ("unknown-type", "warning")
    assert hint is None or finding.fault.hint == hint


@pytest.mark.parametrize(
    "on", ["billing.invoice_late", "task.*", "*.failed", "aws.s3_object_created", "instance.running"]
)
def test_types_of_a_producers_own_are_fine(tmp_path: Path, on: str) -> None:
    assert found(tmp_path, f'[[rule]]\nid = "a"\non = "{on}"{LOG}') == []


@pytest.mark.parametrize("on", ["worker.failed", "triggerer.unhealthy", "jobs.failed"])
def test_types_of_families_that_nobody_closed_are_fine(tmp_path: Path, on: str) -> None:
    assert found(tmp_path, f'[[rule]]\nid = "a"\non = "{on}"{LOG}') == []


@pytest.mark.parametrize("on", ["dag_run.failed", "tasks.failed", "nodes.not_ready"])
def test_first_words_that_are_nearly_right(tmp_path: Path, on: str) -> None:
    assert codes(found(tmp_path, f'[[rule]]\nid = "a"\non = "{on}"{LOG}')) == ["unknown-type"]


def test_what_codecs_give_by_name_is_known() -> None:
    given = {meaning.type for meaning in REASONS.values()} | set(OPENLINEAGE_TYPES.values()) | set(ALERT_TYPES.values())
    assert given - TYPES == set()


def acting(rule_id: str, where: str, more: str = "") -> str:
    return f'[[rule]]\nid = "{rule_id}"\nmode = "act"\n{FINAL}where = {{ {where} }}\n{more}{RETRY}'


@pytest.mark.parametrize(
    ("first", "second", "shadowed"),
    [
        ('dag_id = "a"', 'dag_id = "a"', True),
        ('dag_id = "a"', 'dag_id = "a", task_id = "b"', True),
        ('dag_id = "a*"', 'dag_id = "ab"', True),
        ('dag_id = ["a", "b"]', 'dag_id = "a"', True),
        ("dag_id = { exists = true }", 'dag_id = "ab*"', True),
        ("", 'dag_id = "ab*"', True),
        ('dag_id = "a", task_id = "b"', 'dag_id = "a"', False),
        ('dag_id = "ab"', 'dag_id = "a*"', False),
        ('dag_id = "a"', 'dag_id = "b"', False),
        ('tags = "a"', 'tags = ["a", "b"]', False),
    ],
)
def test_rules_that_another_always_answers_before(tmp_path: Path, first: str, second: str, shadowed: bool) -> None:
    findings = found(tmp_path, acting("a", first) + acting("b", second))
    assert [(finding.code, finding.fault.place) for finding in findings] == ([("shadowed", 'rule "b"')] * shadowed)


@pytest.mark.parametrize(
    "more",
    [
        "priority = 10",
        'active = { days = "mon" }',
        'during = { condition = "node.not_ready" }',
        'not_during = { condition = "x" }',
    ],
)
def test_rules_that_do_not_always_answer_shadow_none(tmp_path: Path, more: str) -> None:
    assert found(tmp_path, acting("a", "", more) + acting("b", 'dag_id = "a"')) == []


def test_rules_that_only_watch_neither_shadow_nor_are_shadowed(tmp_path: Path) -> None:
    watching = acting("a", "").replace('"act"', '"observe"')
    assert found(tmp_path, watching + acting("b", 'dag_id = "a"')) == []
    assert found(tmp_path, acting("a", "") + watching.replace('"a"', '"b"')) == []


def test_steps_whose_if_cannot_hold(tmp_path: Path) -> None:
    steps = f'{LOG}if = {{ "incident.failures" = {{ gt = 3, lt = 2 }} }}\n'
    (finding,) = found(tmp_path, f'[[rule]]\nid = "a"\n{FINAL}{steps}')
    assert (finding.code, finding.severity, finding.fault.place) == (
        "never-done",
        "fault",
        'rule "a" do 1 if incident.failures',
    )


@pytest.mark.parametrize(
    ("second", "expected"),
    [("", ["told-twice"]), ('wait = "10m"', []), ('text = "again"', []), ("if = { try_number = 2 }", [])],
)
def test_the_same_told_twice(tmp_path: Path, second: str, expected: list[str]) -> None:
    assert codes(found(tmp_path, f'[[rule]]\nid = "a"\n{FINAL}{LOG}{LOG}{second}\n')) == expected


def test_told_again_after_a_change_is_news(tmp_path: Path) -> None:
    assert found(tmp_path, f'[[rule]]\nid = "a"\n{FINAL}{LOG}{RETRY}{LOG}') == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{match.host}", ["no-such-group"]),
        ("{match.port}", []),
        ("{rule.labels.team}", ["no-such-name"]),
        ('{match.host | default("a host")}', []),
        ("{firing.per.dag_id}", ["no-such-name"]),
        ("{event.task_id}", ["not-carried"]),
        ("{event.attributes.task_id} {event.dag_id}", []),
    ],
)
def test_names_in_texts(tmp_path: Path, text: str, expected: list[str]) -> None:
    rule = f'[[rule]]\nid = "a"\non = "dagrun.failed"\nwhere = {{ job = {{ matches = "(?P<port>[0-9])" }} }}{LOG}'
    assert codes(found(tmp_path, f"{rule}text = '{text}'\n")) == expected


def test_fields_that_events_never_carry(tmp_path: Path) -> None:
    rule = '[[rule]]\nid = "a"\non = {}\nwhere = {{ task_id = "b" }}'
    assert codes(found(tmp_path, rule.format('"dagrun.failed"') + LOG)) == ["not-carried"]
    assert found(tmp_path, rule.format('["dagrun.failed", "task.failed"]') + LOG) == []


def test_conditions_that_no_codec_gives(tmp_path: Path) -> None:
    rule = f'[[rule]]\nid = "a"\n{FINAL}during = {{ condition = "node.not_redy" }}{LOG}'
    (finding,) = found(tmp_path, rule)
    assert (finding.code, finding.fault.hint) == ("unknown-condition", "node.not_ready")


def test_deployments_that_are_not_configured(tmp_path: Path) -> None:
    where = 'where = { deployment = ["prod-eu", "prod-us", "prod-*", "lab-*"], not = { deployment = "old" } }'
    text = f'[[rule]]\nid = "a"\n{FINAL}{where}{LOG}'
    assert found(tmp_path, text) == []
    findings = found(tmp_path, text, POLICY)
    assert [(finding.code, finding.fault.found.split(",")[0]) for finding in findings] == [
        ("unknown-deployment", '"lab-*"'),
        ("unknown-deployment", '"prod-us"'),
    ]


@pytest.mark.parametrize(
    ("allow", "expected"),
    [
        ((), []),
        ((Allow(files=("*/a.toml", "a.toml"), owners=("data-*",)),), []),
        ((Allow(owners=("etl",)),), ["not-allowed"]),
        ((Allow(files=("b.toml",)), Allow(actions=("x.*",))), ["not-allowed"]),
    ],
)
def test_acting_rules_that_nothing_lets_act(tmp_path: Path, allow: tuple[Allow, ...], expected: list[str]) -> None:
    policy = Policy(routes=POLICY.routes, allow=allow)
    assert codes(found(tmp_path, acting("a", 'dag_id = "x"', 'owner = "data-platform"'), policy)) == expected


def test_what_never_ends_and_sequences_that_never_complete(tmp_path: Path) -> None:
    never = "{ try_number = { gt = 3, lt = 2 } }"
    ended = f'[[rule]]\nid = "a"\n{FINAL}per = []\nhold_for = "5m"\nended_by = {{ on = "x", where = {never} }}{LOG}'
    steps = f'steps = [{{ on = "x" }}, {{ on = "y", where = {never} }}]'
    chain = f'[[rule]]\nid = "b"\nper = []\nsequence = {{ within = "5m", {steps} }}{LOG}'
    findings = found(tmp_path, ended + chain)
    assert [(finding.code, finding.fault.place) for finding in findings] == [
        ("never-ends", 'rule "a" ended_by where try_number'),
        ("never-matches", 'rule "b" sequence step 2 where try_number'),
    ]


def test_otherwise_without_a_change_to_go_wrong(tmp_path: Path) -> None:
    text = f'[[rule]]\nid = "a"\n{FINAL}{LOG}[[rule.otherwise]]\naction = "log"\n'
    assert codes(found(tmp_path, text)) == ["never-otherwise"]
    assert found(tmp_path, text.replace('"log"', '"airflow.retry"', 1)) == []


@pytest.mark.parametrize(
    ("step", "expected", "place"),
    [
        ('action = "airflow.trigger", dag_id = "fix_{match.host}"', ["no-such-group"], "do 1 dag_id"),
        ('action = "airflow.trigger", dag_id = "{match.host | default(\'x\')}"', [], ""),
        (
            'action = "airflow.trigger", dag_id = "a", conf = { a = ["{rule.labels.team}"] }',
            ["no-such-name"],
            "do 1 conf a 1",
        ),
        (
            'action = "http.request", endpoint = "e", body = { task = "{event.task_id}" }',
            ["not-carried"],
            "do 1 body task",
        ),
        ('action = "airflow.pause"', ["not-carried"], "do 1"),
        ('action = "airflow.pause", dag_id = "a"', [], ""),
        ('action = "airflow.backfill", dag_id = "a"', ["not-carried"], "do 1"),
        ('action = "airflow.backfill", dag_id = "a", since = "{event.time}"', [], ""),
    ],
)
def test_what_changes_are_about(tmp_path: Path, step: str, expected: list[str], place: str) -> None:
    step = step.replace("default('x')", 'default(\\"x\\")')
    findings = found(tmp_path, f'[[rule]]\nid = "a"\non = "node.not_ready"\ndo = [{{ {step} }}]')
    assert codes(findings) == expected
    assert [finding.fault.place for finding in findings] == [f'rule "a" {place}'] * len(expected)


def test_a_change_of_any_kind_has_an_otherwise_and_news_after_it(tmp_path: Path) -> None:
    pause = '\n[[rule.do]]\naction = "airflow.pause"\n'
    text = f'[[rule]]\nid = "a"\non = "task.failed"\n{LOG}{pause}{LOG}[[rule.otherwise]]\naction = "log"\n'
    assert found(tmp_path, text) == []


def test_each_action_needs_leave(tmp_path: Path) -> None:
    text = acting("a", 'dag_id = "x"') + '\n[[rule.do]]\naction = "airflow.rerun"\n'
    policy = Policy(routes=POLICY.routes, allow=(Allow(actions=("airflow.retry",)),))
    (finding,) = found(tmp_path, text, policy)
    assert (finding.code, "for airflow.rerun of" in finding.fault.found) == ("not-allowed", True)
    assert found(tmp_path, text, Policy(routes=POLICY.routes, allow=(Allow(actions=("airflow.re*",)),))) == []


def test_many_rules_are_judged_in_linear_time(tmp_path: Path) -> None:
    """Quadratic, this would take minutes: no two rules of these can imply each other."""
    text = "".join(acting(f"r{n}", f'dag_id = "d{n}", "error.message" = {{ matches = "e{n}" }}') for n in range(3_000))
    assert found(tmp_path, text) == []
