"""Rule files beyond all measure, and what cannot be read: a fault each, soon and with little memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from remediator.rules.expand import MAX_FILLED_OF_FILE
from remediator.rules.faults import Fault, Faults
from remediator.rules.load import load_rules, rule_paths
from remediator.rules.selection import MAX_CLAUSES, MAX_CLAUSES_OF_FILE, MAX_SETS

RULE = '[[rule]]\nid = "r"\non = "x"\ndo = [{ action = "log" }]\n'


def faults_of(text: str, folder: Path) -> list[Fault]:
    (folder / "r.toml").write_text(text, encoding="utf-8")
    with pytest.raises(Faults) as caught:
        load_rules([folder], None)
    return list(caught.value.faults)


def one_of(count: int) -> str:
    return "any = [" + ", ".join(f'{{ subject = "x{number}" }}' for number in range(count)) + "]\n"


def shared(times: int) -> str:
    """A set s1 of so many times 100 clauses."""
    uses = ", ".join(['{ use = "s0" }'] * times)
    return f"[define.s0]\n{one_of(99)}[define.s1]\nall = [{uses}]\n"


def test_sets_that_double_are_a_fault_where_they_are_too_many(tmp_path: Path) -> None:
    sets = "".join(f'[define.s{i}]\nuse = ["s{i - 1}", "s{i - 1}"]\n' for i in range(1, 40))
    (fault,) = faults_of(f'[define.s0]\nall = [{{ subject = "x" }}]\n{sets}{RULE}where.use = "s39"\n', tmp_path)
    assert (fault.line, fault.place) == (22, "define s10 use")
    assert (fault.found, fault.allowed) == (
        "more than 2,000 clauses", "at most 2,000, those of the sets it uses included",
    )  # fmt: skip


def test_sets_in_sets_in_lists_are_a_fault(tmp_path: Path) -> None:
    inner = ", ".join(f'{{ use = "s0", dag_id = "d{number}" }}' for number in range(100))
    text = f"[define.s0]\n{one_of(100)}[define.s1]\nany = [{inner}]\n{RULE}"
    (fault,) = faults_of(text, tmp_path)
    assert fault.place.startswith("define s1 any 2")
    assert fault.line == 4


def test_clauses_of_all_parts_of_a_rule_count_together(tmp_path: Path) -> None:
    head = shared(12)
    text = f'{head}{RULE}where.use = "s1"\n'
    (tmp_path / "r.toml").write_text(text, encoding="utf-8")
    assert load_rules([tmp_path], None).rules
    (fault,) = faults_of(f'{text}ended_by = {{ on = "y", where = {{ use = "s1" }} }}\n', tmp_path)
    assert fault.found == f"more than {MAX_CLAUSES:,} clauses"
    assert fault.place.endswith("ended_by where use")


def test_clauses_of_all_rules_of_a_file_are_limited(tmp_path: Path) -> None:
    head = shared(15)
    rules = "".join(RULE.replace('"r"', f'"r{number}"') + 'where.use = "s1"\n' for number in range(70))
    found = {fault.found for fault in faults_of(head + rules, tmp_path)}
    assert found == {f"more than {MAX_CLAUSES_OF_FILE:,} clauses in all rules of the file"}


def test_long_chains_of_sets_and_long_lists_of_names_are_faults_not_crashes(tmp_path: Path) -> None:
    chain = "".join(
        f'[define.s{i}]\nall = [{{ all = [{{ all = [{{ use = "s{i - 1}" }}] }}] }}]\n' for i in range(1, MAX_SETS)
    )
    found = faults_of(f'[define.s0]\nsubject = "x"\n{chain}{RULE}', tmp_path)
    assert {fault.allowed for fault in found} == {"at most 5 levels of any, all and not"}
    names = ", ".join(['"s0"'] * 300)
    (fault,) = faults_of(f'[define.s0]\nsubject = "x"\n{RULE}where.use = [{names}]\n', tmp_path)
    assert (fault.found, fault.allowed) == ("300 sets", "at most 200")


@pytest.mark.parametrize(
    ("text", "value", "found"),
    [
        ("${a}" * 10_000, "x", "more than 10,000 characters in a text"),
        ("${a}" * 101 + "b", "x" * 100, "more than 10,000 characters in a text"),
    ],
    ids=["written", "filled"],
)
def test_texts_with_parameters_have_a_length(tmp_path: Path, text: str, value: str, found: str) -> None:
    rule = RULE.replace('"r"', '"r"\ndocumentation = "' + text + '"')
    (fault,) = faults_of(f'{rule}parameters = [{{ a = "{value}" }}]\n', tmp_path)
    assert (fault.line, fault.place, fault.found) == (3, 'rule "r" documentation (row 1)', found)
    assert fault.allowed == "at most 10,000, parameters filled in"


def test_texts_of_a_rule_and_of_a_file_have_a_length_together(tmp_path: Path) -> None:
    values, long = ", ".join(['"${a}b"'] * 101), "x" * 2_000
    rule = f'{RULE}where.dag_id = {{ in = [{values}] }}\nparameters = [{{ a = "{long}" }}]\n'
    (fault,) = faults_of(rule, tmp_path)
    assert fault.found == "more than 200,000 characters in texts of the rule"
    values = ", ".join(['"${a}b"'] * 50)
    rule = RULE.replace('"r"', '"r-${b}"') + f"where.dag_id = {{ in = [{values}] }}\n"
    long = "x" * 900
    rows = ", ".join(f'{{ a = "{long}", b = {number} }}' for number in range(1_000))
    (fault,) = faults_of(f"{rule}parameters = [{rows}]\n", tmp_path)
    assert fault.found == f"more than {MAX_FILLED_OF_FILE:,} characters in texts of the file"


def test_a_number_of_thousands_of_digits_is_a_fault(tmp_path: Path) -> None:
    digits = "f" * 9_000
    (fault,) = faults_of(f'{RULE}title = "n ${{a}}"\nparameters = [{{ a = 0x{digits} }}]\n', tmp_path)
    assert fault.place.endswith("parameters 1 a")


# What cannot be read ------------------------------------------------------------------------------------------------


def test_a_link_to_nothing_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "lost.toml").symlink_to(tmp_path / "gone.toml")
    (tmp_path / ".#r.toml").symlink_to("an.editor")
    (fault,) = faults_of(RULE, tmp_path)
    assert (Path(fault.file), fault.found) == (tmp_path / "sub" / "lost.toml", "a link to nothing")


def test_a_link_lends_its_folders_rights_to_no_file_from_elsewhere(tmp_path: Path) -> None:
    packs, mine, mounted = tmp_path / "packs", tmp_path / "mine", tmp_path / "mounted"
    for folder in (packs, mine, mounted / "..data"):
        folder.mkdir(parents=True)
    (mine / "evil.toml").write_text(RULE)
    (packs / "link.toml").symlink_to(mine / "evil.toml")
    (mounted / "..data" / "r.toml").write_text(RULE)
    (mounted / "r.toml").symlink_to(Path("..data") / "r.toml")
    assert list(rule_paths([packs])) == [(mine / "evil.toml").resolve().as_posix()]
    assert list(rule_paths([packs, mine])) == ["mine/evil.toml"]
    assert list(rule_paths([mounted])) == ["mounted/r.toml"]  # as a volume of a cluster is laid out


def test_a_folder_that_cannot_be_read_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sub").mkdir()
    iterdir = Path.iterdir

    def refusing(path: Path) -> Iterator[Path]:
        if path.name == "sub":
            raise PermissionError(13, "Permission denied", str(path))
        return iterdir(path)

    monkeypatch.setattr(Path, "iterdir", refusing)
    (fault,) = faults_of(RULE, tmp_path)
    assert (Path(fault.file), fault.found) == (tmp_path / "sub", "Permission denied")


def test_two_folders_of_one_name_are_a_fault(tmp_path: Path) -> None:
    folders = [tmp_path / place / "rules" for place in ("central", "team")]
    for folder in folders:
        folder.mkdir(parents=True)
        (folder / f"{folder.parent.name}.toml").write_text(RULE.replace('"r"', f'"{folder.parent.name}"'))
    with pytest.raises(Faults) as caught:
        load_rules(folders, None)
    (fault,) = caught.value.faults
    assert (fault.file, fault.found) == (str(folders[1]), 'a second folder named "rules"')
    assert len(load_rules([folders[0], folders[0]], None).rules) == 1
