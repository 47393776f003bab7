"""Rule files -> RuleSetSpec, or every fault of every file at once.

Owns which files are read and what holds over all of them. One rule is rule_table's; reads only what it is told to.
"""

from __future__ import annotations

import stat
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from remediator.model.policy import Policy, Route
from remediator.rules.circles import find_circles
from remediator.rules.expand import Expansion
from remediator.rules.faults import Fault, Faults
from remediator.rules.rule_table import KEYS, Known, read_rule
from remediator.rules.selection import Defines
from remediator.rules.spec import Rule, RuleSetSpec
from remediator.rules.toml import MAX_BYTES, Document, decode_document, listing, near, show

SUFFIX = ".toml"
TEST_SUFFIX = ".test.toml"
MAX_RULES = 10_000


class Loaded(msgspec.Struct, frozen=True):
    """A rule, the file it was read from, and the line of its `compound.rules` (else of the rule)."""

    rule: Rule
    file: str
    members_line: int


def load_rules(paths: Sequence[Path], policy: Policy | None) -> RuleSetSpec:
    """The rules of files and folders (all of their *.toml but *.test.toml), in a stable order. Raises Faults.

    policy: None if it is not known which routes there are; then those that the rules name are taken to be all.
    """
    faults: list[Fault] = []
    loaded: list[Loaded] = []
    is_whole = True
    for file, label in _files(paths, faults):
        try:
            document = decode_document(_read(file), str(file))
        except Faults as bad:
            faults += bad.faults
            is_whole = False
            continue
        found, is_file_whole = _read_tables(document, policy, label)
        loaded += found
        faults += document.faults
        is_whole = is_whole and is_file_whole
    faults += _faults_together(loaded, is_whole)
    if faults:
        raise Faults(faults)
    rules = tuple(one.rule for one in loaded)
    return RuleSetSpec(rules, open_policy(rules) if policy is None else policy)


def open_policy(rules: Iterable[Rule]) -> Policy:
    """A policy with every route that the rules name."""
    steps = (step for rule in rules for step in (*rule.do, *rule.otherwise, *rule.on_resolve))
    return Policy(routes={name: Route(name) for name in sorted({"default"} | {step.to for step in steps if step.to})})


def rule_paths(paths: Iterable[Path]) -> dict[str, Path]:
    """Where the files are that `Rule.file` names."""
    return {label: file for file, label in _files(paths, [])}


def rule_files(paths: Iterable[Path], suffix: str = SUFFIX) -> list[Path]:
    """Files with the suffix in the folders, and the given files themselves. Hidden ones and rule tests are left out."""
    return [file for file, _ in _files(paths, [], suffix)]


def read_rules(document: Document, policy: Policy | None, label: str) -> list[Rule]:
    """The rules of one file; faults are kept in the document. label: what `Rule.file` says."""
    return [one.rule for one in _read_tables(document, policy, label)[0]]


def _read_tables(document: Document, policy: Policy | None, label: str) -> tuple[list[Loaded], bool]:
    """The rules of one file, and whether these are all that it stands for."""
    root = document.root()
    defines = Defines(root)
    expansion = Expansion(root, KEYS)
    root.close()
    if expansion.size > MAX_RULES:
        root.fault("rule", f"{expansion.size:,} rules", f"at most {MAX_RULES:,}")
        return [], False
    loaded: list[Loaded] = []
    names = Known(None, None) if policy is None else Known(policy.routes.keys(), policy.endpoints)
    kept: dict[Fault, None] = dict.fromkeys(document.faults)
    for rows in expansion.rules():
        kept |= dict.fromkeys(document.faults)
        seen: dict[tuple[int, str, str, str], Fault] = {}
        for number, row in enumerate(rows, 1):
            rule = read_rule(row.table, names, defines, label, number if row.is_row else 0)
            loaded.append(Loaded(rule, document.file, row.line((*row.table.path, "compound", "rules"))))
            for key, fault in row.distinct():
                seen.setdefault(key, fault)
        kept |= dict.fromkeys(seen.values())
    document.faults = list(kept | dict.fromkeys(document.faults))
    return loaded, expansion.is_whole


def _files(paths: Iterable[Path], faults: list[Fault], suffix: str = SUFFIX) -> Iterator[tuple[Path, str]]:
    """Each file once, with a label that is the same wherever the folder lies: it is part of the rule set's hash."""
    seen: set[Path] = set()
    folders: dict[str, Path] = {}
    paths = list(paths)
    given = [path.resolve() for path in paths]
    for path in paths:
        whole = path.resolve()
        files = _walk(path, suffix, faults)
        if path not in files and folders.setdefault(whole.name, whole) != whole:
            found = f"a second folder named {show(whole.name)}"
            allowed = f"folders whose last names differ: [[allow]] could not tell it from {folders[whole.name]}"
            faults.append(Fault(str(path), 0, "", found, allowed))
        for file in files:
            if file.resolve() not in seen:
                seen.add(file.resolve())
                yield file, _label(file, path, given)


def _label(file: Path, path: Path, given: Sequence[Path]) -> str:
    """Where the rules lie, which [[allow]] goes by: a link lends its folder's rights to no file from elsewhere."""
    whole, real = path.resolve(), file.resolve()
    if real == whole or real.is_relative_to(whole):
        return "/".join((whole.name, *file.relative_to(path).parts))
    home = next((one for one in given if real.is_relative_to(one)), None)
    return real.as_posix() if home is None else "/".join((home.name, *real.relative_to(home).parts))


def _walk(path: Path, suffix: str, faults: list[Fault]) -> list[Path]:
    """The files with the suffix. What cannot be read is a fault: rules that are there must not be missed."""
    try:
        if path.is_file():
            return [path]
        found = "" if path.exists() else "no such file or folder"
    except OSError as error:
        found = str(error.strerror)
    if found:
        faults.append(Fault(str(path), 0, "", found, "a folder or a .toml file"))
        return []
    files: list[Path] = []
    pending = [path]
    while pending:
        folder = pending.pop()
        try:
            inside = [one for one in folder.iterdir() if not one.name.startswith(".")]
            pending += [one for one in inside if one.is_dir() and not one.is_symlink()]
        except OSError as error:
            faults.append(Fault(str(folder), 0, "", str(error.strerror), "a folder that can be read"))
            continue
        files += [one for one in inside if _is_wanted(one, suffix, faults)]
    return sorted(files)


def _is_wanted(file: Path, suffix: str, faults: list[Fault]) -> bool:
    try:
        is_file = stat.S_ISREG(file.stat().st_mode)
    except OSError as error:
        what = "a link to nothing" if isinstance(error, FileNotFoundError) else str(error.strerror)
        faults.append(Fault(str(file), 0, "", what, "a file that can be read"))
        return False
    return is_file and file.name.endswith(suffix) and (suffix == TEST_SUFFIX or not file.name.endswith(TEST_SUFFIX))


def _read(file: Path) -> bytes:
    try:
        with file.open("rb") as stream:
            body = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise Faults([Fault(str(file), 0, "", str(error.strerror), "a file that can be read")]) from None
    if len(body) > MAX_BYTES:
        raise Faults([Fault(str(file), 0, "", "a larger file", f"at most {MAX_BYTES:,} bytes")])
    return body


# What holds over all files ------------------------------------------------------------------------------------------


def _faults_together(loaded: list[Loaded], is_whole: bool) -> Iterator[Fault]:
    first: dict[str, Loaded] = {}
    for one in loaded:
        rule = one.rule
        if rule.id in first:
            taken = first[rule.id]
            allowed = f"one rule per id; it is taken at {taken.file}:{taken.rule.line}"
            yield Fault(one.file, rule.line, f'rule "{rule.id}"', "an id used before", allowed)
        elif rule.id:
            first[rule.id] = one
    if len(loaded) > MAX_RULES:
        yield Fault(loaded[-1].file, 0, "", f"{len(loaded):,} rules in all files", f"at most {MAX_RULES:,}")
    yield from _faults_of_compounds(first, is_whole)


def _faults_of_compounds(by_id: dict[str, Loaded], is_whole: bool) -> Iterator[Fault]:
    graph = {rule_id: one.rule.compound.rules if one.rule.compound else () for rule_id, one in by_id.items()}
    for rule_id, members in graph.items():
        one = by_id[rule_id]
        for member in members if is_whole else ():
            if member not in by_id:
                found, hint = f"unknown rule {show(member)}", near(member, by_id)
                yield Fault(one.file, one.members_line, _place(rule_id), found, listing(by_id), hint)
    for circle in find_circles(graph):
        one = by_id[circle[0]]
        found = f"a circle: {' -> '.join((*circle, circle[0]))}"
        yield Fault(one.file, one.members_line, _place(circle[0]), found, "compounds that do not wait for themselves")


def _place(rule_id: str) -> str:
    return f'rule "{rule_id}" compound rules'
