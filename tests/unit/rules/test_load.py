"""Rule files: what loads, and what each fault says. UPDATE_GOLDEN=1 rewrites the expected messages."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from remediator.model.action import CHANGE_STEPS
from remediator.model.policy import Budget, Mode, Policy, Route
from remediator.model.time import MINUTE, SECOND
from remediator.rules.changes import CHANGES
from remediator.rules.faults import Faults
from remediator.rules.index import RuleSet
from remediator.rules.load import MAX_RULES, load_rules
from remediator.rules.spec import (
    Backoff,
    Compound,
    During,
    Period,
    Rule,
    Selector,
    Sequence,
    Step,
    Window,
    decode_rule_set,
    encode_rule_set,
)
from remediator.rules.toml import MAX_BYTES

TESTS = Path(__file__).parents[2]
BAD = TESTS / "golden" / "rules" / "bad"
GOOD = TESTS / "golden" / "rules" / "good"
POLICY = Policy(routes={"default": Route("default"), "data-oncall": Route("data-oncall")})
FULL = """
[[rule]]
id       = "task-lost-connection"
summary  = "Retry tasks that lost a connection"
owner    = "data-platform"
severity = "critical"
mode     = "act"
priority = 70
on       = ["task.failed_finally"]
where    = { deployment = "prod-*", "error.message" = { matches = '(?i)connection reset' } }
budget   = { per_hour = 3, per_day = 7 }
runbook  = "https://wiki.example/connections"

[[rule.do]]
action       = "airflow.retry"
max_attempts = 3
backoff      = { initial = "45s", factor = 3, max = "15m", jitter = 0.1 }
verify       = "30m"

[[rule.otherwise]]
action = "page"
to     = "data-oncall"

[[rule]]
id = "least"
on = "check.*"
do = [{ action = "log" }]
"""


@pytest.mark.parametrize("file", sorted(BAD.glob("*.toml")), ids=lambda file: file.stem)
def test_fault_says_file_line_place_found_and_allowed(file: Path) -> None:
    with pytest.raises(Faults) as caught:
        load_rules([file], POLICY)
    message = str(caught.value).replace(str(BAD) + os.sep, "") + "\n"
    golden = file.with_suffix(".txt")
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(message, encoding="utf-8")
    assert message == golden.read_text(encoding="utf-8")
    assert len(caught.value.faults) == 1


def test_there_are_enough_faults() -> None:
    assert len(list(BAD.glob("*.toml"))) >= 100


def test_rule_as_written_becomes_the_specification(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(FULL, encoding="utf-8")
    spec = load_rules([tmp_path], POLICY)
    assert spec.policy is POLICY
    assert spec.rules == (
        Rule(
            id="task-lost-connection",
            on=("task.failed_finally",),
            summary="Retry tasks that lost a connection",
            owner="data-platform",
            severity="critical",
            mode=Mode.ACT,
            priority=70,
            where={"deployment": "prod-*", "error.message": {"matches": "(?i)connection reset"}},
            budget=(Budget(per_hour=3, per_day=7),),
            do=(
                Step(
                    "airflow.retry",
                    max_attempts=3,
                    backoff=Backoff(45 * SECOND, 3.0, 15 * MINUTE, 0.1),
                    verify=30 * MINUTE,
                ),
            ),
            otherwise=(Step("page", "data-oncall"),),
            runbook="https://wiki.example/connections",
            file=f"{tmp_path.name}/a.toml",
            line=2,
        ),
        Rule(id="least", on=("check.*",), do=(Step("log"),), file=f"{tmp_path.name}/a.toml", line=24),
    )
    assert spec.rules[1].mode is Mode.OBSERVE


def rule(rule_id: str, extra: str = "") -> str:
    return f'[[rule]]\nid = "{rule_id}"\non = "x"\ndo = [{{ action = "log" }}]\n{extra}\n'


def test_folders_are_walked_in_order_without_tests_and_hidden_files(tmp_path: Path) -> None:
    for name in ("b/one.toml", "a.toml", "c.txt", "d.test.toml", ".hidden/e.toml", "b/.f.toml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(rule(Path(name).stem), encoding="utf-8")
    spec = load_rules([tmp_path, tmp_path / "b" / "one.toml"], POLICY)
    assert [(one.id, one.file) for one in spec.rules] == [
        ("a", f"{tmp_path.name}/a.toml"),
        ("one", f"{tmp_path.name}/b/one.toml"),
    ]


def test_hash_does_not_depend_on_where_the_folder_lies(tmp_path: Path) -> None:
    hashes = set()
    for place in ("here", "there"):
        folder = tmp_path / place / "rules"
        folder.mkdir(parents=True)
        (folder / "a.toml").write_text(FULL, encoding="utf-8")
        hashes.add(RuleSet(load_rules([folder], POLICY)).hash)
    assert len(hashes) == 1


def test_all_faults_of_all_files_come_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(rule("one", 'mode = "x"\nseverity = "x"'), encoding="utf-8")
    (tmp_path / "b.toml").write_text("[[rule", encoding="utf-8")
    (tmp_path / "c.toml").write_text(rule("one", "priority = -1"), encoding="utf-8")
    with pytest.raises(Faults) as caught:
        load_rules([tmp_path, tmp_path / "missing"], POLICY)
    found = [(Path(fault.file).name, fault.line, fault.found) for fault in caught.value.faults]
    assert found == [
        ("a.toml", 5, '"x"'),
        ("a.toml", 6, '"x"'),
        ("b.toml", 1, found[2][2]),
        ("c.toml", 1, "an id used before"),
        ("c.toml", 5, "-1"),
        ("missing", 0, "no such file or folder"),
    ]


def test_too_many_rules_and_too_large_files_are_faults(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("".join(rule(f"r{n}") for n in range(MAX_RULES + 1)), encoding="utf-8")
    (tmp_path / "b.toml").write_bytes(b"#" * (MAX_BYTES + 1))
    with pytest.raises(Faults) as caught:
        load_rules([tmp_path], POLICY)
    assert [fault.allowed for fault in caught.value.faults] == ["at most 10,000", "at most 4,000,000 bytes"]


def test_absurdly_nested_file_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("a = " + "[" * 100_000, encoding="utf-8")
    with pytest.raises(Faults, match="nested too deeply"):
        load_rules([tmp_path], POLICY)


def good(name: str) -> dict[str, Rule]:
    return {rule.id: rule for rule in load_rules([GOOD / f"{name}.toml"], POLICY).rules}


def test_everything_a_rule_without_state_can_say() -> None:
    rule = good("responders")["connection-reset"]
    assert rule.where == {
        "error.message": {"matches": "connection to (?P<host>[a-z.]+) reset"},
        "deployment": "prod-*",
        "tags": "etl",
    }
    assert rule.group == ("deployment", "dag_id")
    assert rule.budget == (Budget(per_hour=3, per_day=7), Budget(per_hour=50, target="deployment"))
    assert rule.active == (Period(8 * 60, 18 * 60, (0, 1, 2, 3, 4), "Europe/Berlin"),)
    assert rule.during == (During("node.not_ready", "node/{event.attributes.node}", 5 * MINUTE),)
    assert rule.not_during == (During("cluster.upgrade"),)
    retry, notify = rule.do
    assert (retry.wait, retry.condition["incident.failures"]) == (10 * MINUTE, {"lt": 5})
    assert (retry.max_attempts, retry.backoff.factor, retry.verify) == (3, 3.0, 30 * MINUTE)
    assert notify.text == '{incident.title} did not help {firing.first | time("Europe/Berlin")}'
    assert rule.otherwise == (Step("page", "data-oncall", text="{rule.summary}: {event.dag_id}.{event.task_id}"),)
    assert rule.on_resolve == (Step("notify", "default"),)
    assert (rule.owner, rule.labels) == ("data-platform", {"team": "platform", "tier": "1"})
    assert not rule.is_detector


def test_every_kind_of_change_is_a_step_with_its_own_keys() -> None:
    rules = good("changes")
    retry, rerun, reprocess, backfill, mark = rules["wider-each-time"].do
    assert (retry.params, retry.max_attempts, retry.verify) == ({"scope": "group"}, 2, 60 * MINUTE)
    assert (rerun.params, rerun.max_attempts, rerun.verify, rerun.wait) == ({}, 2, 120 * MINUTE, 5 * MINUTE)
    assert rerun.condition == {"run_type": "scheduled"}
    assert reprocess.params == {
        "dag_id": "{event.dag_id}_daily",
        "since": "{event.logical_date}",
        "until": "2026-11-03T00:00:00Z",
    }
    first = "2026-11-01T00:00:00+01:00"
    assert backfill.params == {
        "dag_id": "daily",
        "since": first,
        "until": first,
        "reprocess": "completed",
        "max_active": 4,
    }
    assert mark.params == {"state": "skipped"}
    pool, scale, request = rules["pressure"].do
    assert pool.params == {"pool": "{event.attributes.pool}", "slots": 128, "only_if": 64}
    assert (pool.undo_after, scale.undo_after, request.undo_after) == (120 * MINUTE, 120 * MINUTE, 0)
    assert (scale.params["kind"], scale.params["replicas"], request.params["endpoint"]) == ("StatefulSet", 6, "tickets")
    assert request.params["body"]["by"] == {"name": "remediator", "share": 0.5}
    pause, trigger, resume = rules["many-failures"].do
    assert (pause.params, pause.undo_after, pause.max_attempts) == ({}, 30 * MINUTE, 3)
    assert trigger.params["conf"] == {"failures": "{firing.count}"}
    assert resume.params == {"dag_id": "{event.dag_id}"}


def test_every_kind_of_change_has_a_good_and_a_bad_file() -> None:
    shown = {step.action for rule in good("changes").values() for step in rule.do}
    assert shown == set(CHANGES)
    bad = "\n".join(file.read_text(encoding="utf-8", errors="replace") for file in BAD.glob("*.toml"))
    assert [kind for kind in CHANGES if f'action = "{kind}"' not in bad] == []


def test_kinds_of_changes_are_those_that_the_engine_makes() -> None:
    """An open backfill is cancelled by no rule."""
    assert set(CHANGES) == CHANGE_STEPS - {"airflow.cancel_backfill"}


def test_an_instant_of_toml_is_taken_as_a_text(tmp_path: Path) -> None:
    step = 'do = [{ action = "airflow.backfill", dag_id = "d", since = 2026-11-01T00:00:00+01:00 }]'
    (tmp_path / "a.toml").write_text(rule("a").replace('do = [{ action = "log" }]', step), encoding="utf-8")
    spec = load_rules([tmp_path], POLICY)
    assert spec.rules[0].do[0].params["since"] == "2026-11-01T00:00:00+01:00"
    assert decode_rule_set(encode_rule_set(spec)) == spec


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("{ a = nan }", "nan"),
        ("{ a = 99999999999999999999 }", "99999999999999999999"),
        ("{ a = [1, { b = 10:00:00 }] }", "a date or time"),
        (f'{{ a = "{"x" * 2_001}" }}', "2,001 characters"),
        (f"{{ {'x' * 201} = 1 }}", "a name of 201 characters"),
        (f"{{ a = {[0] * 200} }}", "202 values"),
        ('{ a = "{" }', "a lone {"),
    ],
)
def test_values_that_are_no_json_or_too_many(tmp_path: Path, value: str, found: str) -> None:
    step = f'do = [{{ action = "http.request", endpoint = "e", body = {value} }}]'
    (tmp_path / "a.toml").write_text(rule("a").replace('do = [{ action = "log" }]', step), encoding="utf-8")
    with pytest.raises(Faults) as caught:
        load_rules([tmp_path], POLICY)
    assert [fault.found for fault in caught.value.faults] == [found]


def test_a_rule_has_its_own_before_defaults() -> None:
    rule = good("responders")["own-owner"]
    assert (rule.owner, rule.labels, rule.otherwise) == ("etl", {}, (Step("log"),))
    assert rule.quiet == (Period(22 * 60, 6 * 60), Period(days=(5, 6)))


def test_sets_of_clauses_are_filled_in_and_none_replaces_what_is_written() -> None:
    where = good("responders")["own-owner"].where
    assert (where["deployment"], where["tags"]) == ("prod-eu-*", "etl")
    assert where["all"] == [{"deployment": "prod-*"}]
    assert where["any"] == [{"dag_id": "billing"}, {"not": {"owner": "finance", "deployment": "prod-*"}}]
    assert "use" not in where


def test_parameters_make_a_rule_of_each_row_and_keep_types() -> None:
    rules = good("responders")
    assert [(rules[name].where, rules[name].priority, rules[name].do) for name in ("late-billing", "late-sales")] == [
        ({"dag_id": "billing", "tags": ["a", "b"]}, 60, (Step("page", "data-oncall", text="billing: {event.run_id}"),)),
        ({"dag_id": "sales", "tags": ["c"]}, 40, (Step("page", "default", text="sales: {event.run_id}"),)),
    ]
    assert rules["late-billing"].summary == "billing (60) of data-oncall"
    assert rules["late-billing"].line == rules["late-sales"].line


def test_everything_a_rule_with_state_can_say() -> None:
    rules = good("detectors")
    assert all(rule.is_detector for rule in rules.values())
    assert rules["many-failures"].window == Window(10 * MINUTE, at_least=5)
    assert rules["many-dags"].window == Window(10 * MINUTE, at_least=5, distinct="dag_id")
    share = Selector(("task.*",), {"owner": "etl"})
    assert rules["failure-share"].window == Window(30 * MINUTE, of=share, ratio=0.2, min_sample=20)
    assert rules["rate"].window == Window(10 * MINUTE, at_least=26)
    assert rules["evicted-then-failed"].sequence == Sequence(
        30 * MINUTE, (Selector(("pod.evicted",), {"source": "k8s"}), Selector(("task.failed_finally",)))
    )
    assert rules["all-of-it"].compound == Compound(
        15 * MINUTE, ("many-failures", "rate", "evicted-then-failed"), need=3
    )
    assert rules["any-of-it"].compound == Compound(15 * MINUTE, ("many-dags", "all-of-it"), need=1)
    node = rules["node-lost"]
    assert (node.per, node.hold_for) == (("attributes.node",), 5 * MINUTE)
    assert node.ended_by == Selector(("node.ready",), {"source": "k8s"})


@pytest.mark.parametrize(("rate", "length", "needed"), [("0.1", "30m", 3), ("2.5", "10m", 25), ("0.34", "3m", 2)])
def test_a_rate_is_rounded_up_and_exactly(tmp_path: Path, rate: str, length: str, needed: int) -> None:
    window = f'per = []\nwindow = {{ length = "{length}", per_minute = {rate} }}'
    (tmp_path / "a.toml").write_text(rule("a", window), encoding="utf-8")
    found = load_rules([tmp_path], POLICY).rules[0].window
    assert found is not None
    assert found.at_least == needed


def test_defaults_for_a_selection_are_not_for_rules_that_select_otherwise(tmp_path: Path) -> None:
    sequence = 'per = []\nsequence = { within = "1m", steps = [{ on = "a" }, { on = "b" }] }\n'
    text = '[defaults]\non = "x"\nwhere = { owner = "etl" }\n[[rule]]\nid = "plain"\ndo = [{ action = "log" }]\n'
    text += f'[[rule]]\nid = "chain"\ndo = [{{ action = "log" }}]\n{sequence}'
    (tmp_path / "a.toml").write_text(text, encoding="utf-8")
    plain, chain = load_rules([tmp_path], POLICY).rules
    assert (plain.on, plain.where) == (("x",), {"owner": "etl"})
    assert (chain.on, chain.where) == ((), {})


def test_compounds_reach_over_files_and_every_fault_of_them_is_told(tmp_path: Path) -> None:
    compound = 'per = []\ncompound = {{ within = "1m", rules = {}, need = "any" }}\ndo = [{{ action = "log" }}]\n'
    head = '[[rule]]\nid = "{}"\n'
    (tmp_path / "a.toml").write_text(head.format("a") + compound.format('["b", "leaf"]'), encoding="utf-8")
    (tmp_path / "b.toml").write_text(head.format("b") + compound.format('["c", "leef"]'), encoding="utf-8")
    (tmp_path / "c.toml").write_text(head.format("c") + compound.format('["a", "c2"]') + rule("leaf"), encoding="utf-8")
    with pytest.raises(Faults) as caught:
        load_rules([tmp_path], POLICY)
    assert [(Path(fault.file).name, fault.line, fault.found, fault.hint) for fault in caught.value.faults] == [
        ("a.toml", 4, "a circle: a -> b -> c -> a", ""),
        ("b.toml", 4, 'unknown rule "leef"', "leaf"),
        ("c.toml", 4, 'unknown rule "c2"', "c"),
    ]


def test_a_fault_of_a_default_is_told_once_however_many_rules_have_it(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("[defaults]\npriority = 101\n" + rule("a") + rule("b"), encoding="utf-8")
    with pytest.raises(Faults) as caught:
        load_rules([tmp_path], POLICY)
    assert [(fault.line, fault.place) for fault in caught.value.faults] == [(2, "defaults priority")]


def test_more_rows_than_rules_may_be_are_not_even_read(tmp_path: Path) -> None:
    rows = ", ".join(f"{{ n = {n} }}" for n in range(1_000))
    text = "".join(rule(f"r{n}-${{n}}", f"parameters = [{rows}]") for n in range(11))
    (tmp_path / "a.toml").write_text(text, encoding="utf-8")
    with pytest.raises(Faults, match="11,000 rules; allowed: at most 10,000"):
        load_rules([tmp_path], POLICY)
