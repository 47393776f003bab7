"""[feed.mapping]: paths as they are written, and what is read. Its faults: tests/golden/config/mapping.toml."""

from __future__ import annotations

from pathlib import Path

import pytest

from remediator.config.load import load_config
from remediator.config.mapping import MAX_FIELDS, parse_path
from remediator.config.settings import EventMapping
from remediator.rules.faults import Faults

FEED = '[[feed]]\nname = "a"\nbootstrap_servers = "a:9092"\ntopics = ["t"]\ncodec = "mapping"\n[feed.mapping]\n'


def mapping(tmp_path: Path, text: str) -> EventMapping | None:
    (tmp_path / "rules").mkdir()
    path = tmp_path / "remediator.toml"
    path.write_text(FEED + text)
    return load_config(path, {}).feeds[0].mapping


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("$.detail.job", ("detail", "job")),
        ("detail.job", ("detail", "job")),
        ("items[0].name", ("items", 0, "name")),
        ("$['detail-type']", ("detail-type",)),
        ('$["a key"][12].b', ("a key", 12, "b")),
        ("['a.b'].c", ("a.b", "c")),
        ("detail-type", ("detail-type",)),
        ("$.@timestamp", ("@timestamp",)),
        ("a." * 19 + "a", ("a",) * 20),
    ],
)
def test_paths(text: str, path: tuple[str | int, ...]) -> None:
    assert parse_path(text) == path


@pytest.mark.parametrize(
    "text",
    ["", "$", "$.", "a..b", "a.", ".a", "a b", "a[", "a[x]", "a[-1]", "a['", "$a", "a[1234567]", "a." * 20 + "a"],
)
def test_no_paths(text: str) -> None:
    assert parse_path(text) is None


def test_a_literal_type_and_nothing_else(tmp_path: Path) -> None:
    assert mapping(tmp_path, 'type = "job.failed"') == EventMapping(type="job.failed")


def test_everything_that_can_be_said(tmp_path: Path) -> None:
    text = """
type = "$.state"
types = { "X Y" = "job.failed" }
time = "at"
time_format = "epoch_s"
when = { kind = ["a", 1, true], "$.x[0]" = 2.5 }
fields = { dag_id = "d", "attributes.a-b" = "$.e" }
"""
    assert mapping(tmp_path, text) == EventMapping(
        type_path=("state",),
        types={"X Y": "job.failed"},
        time=("at",),
        time_format="epoch_s",
        when=((("kind",), ("a", 1, True)), (("x", 0), (2.5,))),
        fields={"dag_id": ("d",), "attributes.a-b": ("e",)},
    )


def test_there_are_boundedly_many_fields(tmp_path: Path) -> None:
    many = "\n".join(f'"attributes.a{n}" = "a"' for n in range(MAX_FIELDS + 1))
    with pytest.raises(Faults, match=f"found 101 keys; allowed: at most {MAX_FIELDS}"):
        mapping(tmp_path, f'type = "a"\n[feed.mapping.fields]\n{many}')
