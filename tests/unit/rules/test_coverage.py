"""The corpus of real error texts: each is treated as it ought to be, and the pack's table says so."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from remediator.model.policy import Policy, Route
from remediator.rules.faults import Faults
from remediator.rules.index import RuleSet
from remediator.rules.load import load_rules
from remediator.rules.toml import parse_document
from remediator.testing.coverage import (
    BEGIN,
    END,
    PAGE,
    PEOPLE,
    RETRY,
    KnownError,
    Row,
    cover,
    errors_in,
    failure_of,
    main,
    put_into,
    read_errors,
    summary_of,
    table_of,
)

ROOT = Path(__file__).parents[3]
PACKS = ROOT / "rules"
ERRORS = ROOT / "tests" / "data" / "errors"
README = PACKS / "airflow-transient" / "README.md"
POLICY = Policy(routes={"default": Route("default")})

RULES = """
[[rule]]
id = "again"
on = "task.failed_finally"
mode = "act"
where = { "error.type" = "Lost" }
do = [{ action = "airflow.retry" }]

[[rule]]
id = "watched"
on = "task.failed_finally"
priority = 90
where = { "error.type" = "Lost" }
do = [{ action = "page", to = "default" }]

[[rule]]
id = "told"
on = "task.failed_finally"
mode = "act"
where = { "error.message" = "full" }
do = [{ action = "notify", to = "default" }]
"""
ERROR = """
[[error]]
type = "Lost"
message = "gone | with `it`\\nfor good"
library = "a library"
origin = "a place"
class = "network"
treatment = "retry"
"""


@pytest.fixture(scope="module")
def errors() -> list[KnownError]:
    return list(errors_in(ERRORS))


@pytest.fixture(scope="module")
def rows(errors: list[KnownError]) -> list[Row]:
    return cover(errors, RuleSet(load_rules([PACKS], POLICY)))


def one(text: str = ERROR) -> KnownError:
    (error,) = read_errors(parse_document(text, "family.toml"), "family")
    return error


def rules_of(tmp_path: Path) -> RuleSet:
    (tmp_path / "rules.toml").write_text(RULES)
    return RuleSet(load_rules([tmp_path], POLICY))


def test_every_text_is_treated_as_it_ought_to_be(rows: list[Row]) -> None:
    unwanted = [f"{row.error.place}: wanted {row.error.treatment}, got {row.treatment}: {row.rule}" for row in rows]
    assert [line for line, row in zip(unwanted, rows, strict=True) if not row.is_as_wanted] == []


def test_no_rule_of_the_packs_is_in_error_over_a_text(errors: list[KnownError]) -> None:
    rule_set = RuleSet(load_rules([PACKS], POLICY))
    assert [error.place for error in errors if rule_set.match(failure_of(error)).errors] == []


def test_the_pack_alone_retries_nothing_that_only_the_other_pack_knows_to_be_final(errors: list[KnownError]) -> None:
    alone = cover(errors, RuleSet(load_rules([README.parent], POLICY)))
    assert [row.error.message for row in alone if row.treatment == RETRY and row.error.treatment != RETRY] == []


def test_the_corpus_is_large_and_of_both_kinds(errors: list[KnownError]) -> None:
    assert len(errors) >= 150
    treatments = Counter(error.treatment for error in errors)
    assert min(treatments[RETRY], treatments[PEOPLE]) >= len(errors) / 3
    assert treatments[PAGE] >= 20


def test_no_text_is_there_twice(errors: list[KnownError]) -> None:
    texts = Counter((error.type, error.message, error.trace) for error in errors)
    assert [text for text, times in texts.items() if times > 1] == []


def test_every_text_says_where_it_was_seen(errors: list[KnownError]) -> None:
    assert [error.place for error in errors if len(error.origin.split()) < 2 and "://" not in error.origin] == []


def test_every_rule_that_acts_on_failures_recognises_a_text(rows: list[Row]) -> None:
    packs = [README.parent, PACKS / "resources"]
    assert {rule.id for rule in load_rules(packs, POLICY).rules} <= {row.rule for row in rows}


def test_the_readme_is_up_to_date(rows: list[Row]) -> None:
    text = README.read_text("utf-8")
    assert put_into(text, table_of(rows)) == text, "run the command that the README names"


def test_only_rules_that_act_respond(tmp_path: Path) -> None:
    told = one(ERROR.replace('"Lost"', '""').replace("gone | with `it`\\nfor good", "full"))
    other = one(ERROR.replace('"Lost"', '"KeyError"'))
    rows = cover([one(), told, other], rules_of(tmp_path))
    assert [(row.rule, row.treatment, row.is_as_wanted) for row in rows] == [
        ("again", RETRY, True),
        ("told", PAGE, False),
        ("", PEOPLE, False),
    ]
    assert summary_of(rows) == "3 texts; 2 recognised: 1 retried, 1 paged; 1 deliberately left to people."


def test_a_text_cannot_break_the_table(tmp_path: Path) -> None:
    (line,) = table_of(cover([one()], rules_of(tmp_path))).splitlines()[4:]
    assert line == "| family | `Lost: gone \\| with 'it' for good` | network | `again` | retried |"


def test_a_long_text_is_shortened(tmp_path: Path) -> None:
    long = one(ERROR.replace("for good", "x" * 500))
    assert len(table_of(cover([long], rules_of(tmp_path))).splitlines()[4]) < 200


@pytest.mark.parametrize(
    "readme",
    ["no markers", BEGIN, f"{END} {BEGIN}", f"{BEGIN} {END} {BEGIN} {END}"],
    ids=["none", "one", "turned", "two"],
)
def test_a_readme_without_its_markers_is_left_alone(readme: str) -> None:
    with pytest.raises(ValueError, match="markers"):
        put_into(readme, "table")


def test_faults_of_an_error_are_told_with_their_line() -> None:
    text = ERROR.replace('origin = "a place"', 'origin = ""').replace('"retry"', '"again"').replace("library", "libary")
    with pytest.raises(Faults) as bad:
        read_errors(parse_document(text, "family.toml"), "family")
    told = "\n".join(map(str, bad.value.faults))
    assert "family.toml:6" in told
    assert all(word in told for word in ("an empty text", '"again"', "libary"))


def test_the_command_writes_the_table_and_fails_for_what_is_not_as_wanted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rules, errors, readme = tmp_path / "rules", tmp_path / "errors", tmp_path / "README.md"
    for folder in (rules, errors):
        folder.mkdir()
    (rules / "rules.toml").write_text(RULES)
    (errors / "family.toml").write_text(ERROR)
    readme.write_text(f"# Pack\n\n{BEGIN}\nold\n{END}\nafter\n")
    assert main([str(rules), str(errors), "--write", str(readme)]) == 0
    assert "old" not in readme.read_text()
    assert "`again`" in readme.read_text()
    assert readme.read_text().endswith(f"{END}\nafter\n")
    (errors / "family.toml").write_text(ERROR.replace('"retry"', '"people"'))
    assert main([str(rules), str(errors)]) == 1
    assert "wanted people, got retry by again" in capsys.readouterr().err
