"""Rule files with anything in any place: read or faulted, never more; what loads compiles and fits the schema."""

from __future__ import annotations

import copy
import datetime
import tomllib
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from remediator.rules.circles import find_circles
from remediator.rules.index import RuleSet
from remediator.rules.lint import lint
from remediator.rules.load import open_policy, read_rules
from remediator.rules.schema import rule_file_schema
from remediator.rules.spec import RuleSetSpec
from remediator.rules.toml import Document

GOOD = Path(__file__).parents[1] / "golden" / "rules" / "good"
FILES = [tomllib.loads(file.read_text(encoding="utf-8")) for file in sorted(GOOD.glob("*.toml"))]
VALIDATOR = Draft202012Validator(rule_file_schema())
JUNK: tuple[Any, ...] = (
    0, 1, -1, 2.5, float("nan"), float("inf"), 2**70, True, False, "", "x", "a*", "5m", "${dag}", "${other}",
    "{event.dag_id}", "{", [], {}, [1], ["a"], ["a", "a"], [{}], [[]], {"a": 1}, {"on": "x"}, {"use": "prod"},
    {"not": {}}, "x" * 3_000, datetime.date(2026, 11, 1), datetime.time(1, 2),
)  # fmt: skip
Path_ = tuple[str | int, ...]


def paths_of(value: Any, path: Path_ = ()) -> list[Path_]:
    items: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, item in items for found in paths_of(item, (*path, key)))]


PLACES = [(number, path) for number, data in enumerate(FILES) for path in paths_of(data) if path]
changes = st.tuples(st.sampled_from(PLACES), st.sampled_from(JUNK), st.sampled_from(("replace", "add", "remove")))


def changed(number: int, path: Path_, junk: Any, how: str) -> dict[str, Any]:
    data = copy.deepcopy(FILES[number])
    holder: Any = data
    for part in path[:-1]:
        holder = holder[part]
    if how == "replace":
        holder[path[-1]] = junk
    elif how == "remove":
        del holder[path[-1]]
    elif isinstance(holder, list):
        holder.append(junk)
    else:
        holder["unheard_of"] = junk
    return data


@given(changes)
def test_anything_in_any_place_is_read_or_faulted(change: tuple[tuple[int, Path_], Any, str]) -> None:
    (number, path), junk, how = change
    data = changed(number, path, junk, how)
    document = Document("f.toml", data, {})
    rules = tuple(read_rules(document, None, "f.toml"))
    if document.faults:
        assert all(fault.found and fault.allowed for fault in document.faults)
        return
    spec = RuleSetSpec(rules, open_policy(rules))
    lint(spec, spec.policy)
    RuleSet(spec)
    assert not [error.message for error in VALIDATOR.iter_errors(data)]


graphs = st.dictionaries(st.sampled_from("abcdef"), st.lists(st.sampled_from("abcdefg"), max_size=3), max_size=6)


@given(graphs)
def test_circles_are_circles_and_without_them_there_is_an_order(graph: dict[str, list[str]]) -> None:
    circles = find_circles(graph)
    for circle in circles:
        assert all(after in graph[one] for one, after in zip(circle, (*circle[1:], circle[0]), strict=True))
    if not circles:
        left = dict(graph)
        while ready := [name for name, others in left.items() if not any(other in left for other in others)]:
            for name in ready:
                del left[name]
        assert not left
