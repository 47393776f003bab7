"""Tables read key by key: right types, lines of faults, near names, secrets that stay hidden."""

from __future__ import annotations

from enum import StrEnum

import pytest

from remediator.model.time import DAY, MINUTE, SECOND
from remediator.rules.faults import Fault, Faults
from remediator.rules.toml import parse_document


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


def test_values_are_read_with_their_types_and_absent_ones_have_defaults() -> None:
    text = """
text = "a"
one = "x"
many = ["x", "y"]
whole = 3
share = 1
flag = false
wait = "1m30s"
colour = "blue"
[inner]
key = 1
[[list]]
n = 1
[[list]]
n = 2
"""
    table = parse_document(text, "f.toml").root()
    assert table.text("text") == "a"
    assert (table.texts("one"), table.texts("many")) == (("x",), ("x", "y"))
    assert (table.integer("whole", 0), table.optional_integer("whole"), table.optional_integer("no")) == (3, 3, None)
    assert table.number("share", 0.5, 0, 1) == 1.0
    assert table.boolean("flag", True) is False
    assert table.duration("wait", 0, 0, DAY) == MINUTE + 30 * SECOND
    assert table.enum("colour", Colour.RED) is Colour.BLUE
    assert table.table("inner").integer("key", 0) == 1
    assert [one.integer("n", 0) for one in table.tables("list")] == [1, 2]
    assert (table.text("no", "d"), table.tables("no"), table.table("no").data) == ("d", [], {})
    table.close()
    table.document.check()


def test_each_wrong_value_is_one_fault_with_its_line() -> None:
    text = """text = 1
many = [1]
whole = true
share = 2.0
flag = "no"
wait = "soon"
colour = "bleu"
inner = 1
list = [1]
extra = 1
"""
    table = parse_document(text, "f.toml").root()
    table.text("text")
    table.texts("many")
    table.integer("whole", 0)
    table.number("share", 0, 0, 1)
    table.boolean("flag", True)
    table.duration("wait", 0, SECOND, DAY)
    table.enum("colour", Colour.RED)
    table.table("inner")
    table.tables("list")
    table.require("name")
    table.close()
    with pytest.raises(Faults) as caught:
        table.document.check()
    assert [str(fault) for fault in caught.value.faults] == [
        "f.toml:1: found no name; allowed: name is required",
        "f.toml:1: text: found 1; allowed: a string",
        "f.toml:2: many: found a list; allowed: a string or a list of strings",
        "f.toml:3: whole: found true; allowed: a whole number",
        "f.toml:4: share: found 2.0; allowed: a number from 0 to 1",
        'f.toml:5: flag: found "no"; allowed: true or false',
        "f.toml:6: wait: found \"soon\"; allowed: a duration from 1s to 1d, such as '30s' or '1h30m'",
        'f.toml:7: colour: found "bleu"; allowed: blue, red (did you mean blue?)',
        "f.toml:8: inner: found 1; allowed: a table",
        "f.toml:9: list: found a list; allowed: tables, written [[list]]",
        "f.toml:10: found unknown key extra; allowed: colour, flag, inner, list, many, name, share, text, wait, whole"
        " (did you mean text?)",
    ]


def test_a_secret_is_never_shown() -> None:
    table = parse_document("token = 12345", "f.toml").root()
    assert table.text("token", secret=True) == ""
    assert "12345" not in str(table.document.faults[0])


@pytest.mark.parametrize(
    ("text", "line"),
    [("a = 1\nb = \n", 2), ('a = 1\nb = """\n\nx', 4), ("a = 1\na = 2", 2), ("a = " + "9" * 5000, 1)],
)
def test_syntax_error_has_its_line(text: str, line: int) -> None:
    with pytest.raises(Faults) as caught:
        parse_document(text, "f.toml")
    (fault,) = caught.value.faults
    assert fault.line == line


def test_lines_of_nested_and_quoted_paths() -> None:
    text = """# comment
"a.b" = [ 1,
  [2], # one ] more
  { k = "x]", l.m = '''y
z''' },
]
[[t]]
x = \"\"\"a "quoted\\" " \"\"\"\"\"
[t.u."v w"]
y = 1
[[t.u.z]]
[[t]]
'x' . y = 1
"""
    document = parse_document(text, "f.toml")
    expected = {
        ("a.b",): 2,
        ("a.b", 0): 2,
        ("a.b", 1, 0): 3,
        ("a.b", 2, "l", "m"): 4,
        ("t", 0): 7,
        ("t", 0, "u", "v w", "y"): 10,
        ("t", 0, "u", "z", 0): 11,
        ("t", 1): 12,
        ("t", 1, "x", "y"): 13,
    }
    assert {path: document.lines[path] for path in expected} == expected
    assert document.line(("t", 1, "nowhere", 3)) == 12


def test_faults_are_sorted_and_not_repeated() -> None:
    first, second = Fault("a", 2, "p", "x", "y"), Fault("a", 10, "p", "x", "y", "z")
    faults = Faults([second, first, second])
    assert faults.faults == (first, second)
    assert str(faults) == "a:2: p: found x; allowed: y\na:10: p: found x; allowed: y (did you mean z?)"
