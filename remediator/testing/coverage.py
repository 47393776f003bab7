"""What rules make of real error texts: errors and a rule set -> rows -> a table for a pack's README.

`python -m remediator.testing.coverage RULES ERRORS` prints it, `--write README.md` puts it between that file's markers.
Judging is pure; only `main` touches files. It must not know any pack.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from remediator.model.event import ErrorInfo, Event
from remediator.model.policy import Mode, Policy, Route
from remediator.model.text import cut
from remediator.rules.faults import Faults
from remediator.rules.index import Matched, RuleSet
from remediator.rules.load import load_rules
from remediator.rules.spec import Rule
from remediator.rules.toml import Document, Table, decode_document

RETRY, PAGE, PEOPLE = "retry", "page", "people"
TREATMENTS = {RETRY: "retried", PAGE: "paged", PEOPLE: "left to people"}
BEGIN = "<!-- coverage: begin, written by python -m remediator.testing.coverage -->"
END = "<!-- coverage: end -->"
FAILURE = "task.failed_finally"
MAX_TEXT = 10_000
SHOWN = 110


class KnownError(msgspec.Struct, frozen=True):
    """One `[[error]]`: a text as a library raises it. type: '' if there is none. family: its file's name.

    origin: where the text was seen. treatment: what ought to come of it, 'retry' | 'page' | 'people', the last meaning
    that no rule may touch it.
    """

    family: str
    type: str
    message: str
    trace: str
    library: str
    origin: str
    group: str
    treatment: str
    place: str


class Row(msgspec.Struct, frozen=True):
    """What came of an error. rule: the responding rule's id, '' for none. treatment: 'retry' | 'page' | 'people'."""

    error: KnownError
    rule: str
    treatment: str

    @property
    def is_as_wanted(self) -> bool:
        """Whether the rules do what the error asks for."""
        return self.treatment == self.error.treatment


def read_errors(document: Document, family: str) -> list[KnownError]:
    """The errors of one file. Raises Faults."""
    root = document.root()
    errors = [_error(table, family) for table in root.tables("error")]
    root.close()
    document.check()
    return errors


def cover(errors: Iterable[KnownError], rule_set: RuleSet) -> list[Row]:
    """Each error as the failure of a task, tried on the rules."""
    return [_row(error, rule_set.match(failure_of(error))) for error in errors]


def failure_of(error: KnownError) -> Event:
    """The event of a task that finally failed with this error."""
    info = ErrorInfo(error.type or None, error.message, error.trace or None)
    return Event(type=FAILURE, time=0, error=info)


def table_of(rows: Sequence[Row]) -> str:
    """Markdown: a line that sums up, then one line per error."""
    return "\n".join(
        [summary_of(rows), "", "| family | error | class | rule | action |", "|---|---|---|---|---|", *map(_line, rows)]
    )


def summary_of(rows: Sequence[Row]) -> str:
    """'337 texts; 182 recognised: 145 retried, 37 paged; 155 deliberately left to people.'"""
    counts = {treatment: sum(row.treatment == treatment for row in rows) for treatment in TREATMENTS}
    return (
        f"{len(rows)} texts; {counts[RETRY] + counts[PAGE]} recognised: {counts[RETRY]} retried, {counts[PAGE]} paged; "
        f"{counts[PEOPLE]} deliberately left to people."
    )


def put_into(readme: str, table: str) -> str:
    """The text with what is between its markers replaced. Raises ValueError unless both are there once, in order."""
    head, begin, rest = readme.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end or BEGIN in tail or END in tail:
        raise ValueError(f"the markers {BEGIN} and {END} must be there once, in this order")
    return f"{head}{BEGIN}\n{table}\n{END}{tail}"


def _error(table: Table, family: str) -> KnownError:
    table.require("type", "message", "library", "origin", "class", "treatment")
    error = KnownError(
        family=family,
        type=table.text("type", max_length=MAX_TEXT),
        message=table.text("message", max_length=MAX_TEXT),
        trace=table.text("trace", max_length=MAX_TEXT),
        library=table.text("library"),
        origin=table.text("origin"),
        group=table.text("class"),
        treatment=table.choice("treatment", PEOPLE, TREATMENTS),
        place=f"{table.document.file}:{table.line}",
    )
    for key in ("library", "origin", "class"):
        if table.data.get(key) == "":
            table.fault(key, "an empty text", "what it was seen with, and where")
    table.close()
    return error


def _row(error: KnownError, matched: Matched) -> Row:
    rule = next((rule for rule in matched.rules if rule.mode is Mode.ACT), None)
    return Row(error, "", PEOPLE) if rule is None else Row(error, rule.id, _treatment(rule))


def _treatment(rule: Rule) -> str:
    actions = {step.action for step in rule.do}
    if "airflow.retry" in actions:
        return RETRY
    return PAGE if actions & {"page", "notify"} else PEOPLE


def _line(row: Row) -> str:
    rule = f"`{row.rule}`" if row.rule else "-"
    return f"| {row.error.family} | {_shown(row.error)} | {row.error.group} | {rule} | {TREATMENTS[row.treatment]} |"


def _shown(error: KnownError) -> str:
    kind = error.type.rpartition(".")[2]
    text = ": ".join(part for part in (kind, " ".join(error.message.split())) if part)
    short = cut(text, SHOWN)
    return f"`{short.replace('`', chr(39))}`".replace("|", "\\|")


# The command ----------------------------------------------------------------------------------------------------------


def errors_in(folder: Path) -> Iterator[KnownError]:
    """The errors of every *.toml of a folder. Raises Faults."""
    for file in sorted(folder.glob("*.toml")):
        yield from read_errors(decode_document(file.read_bytes(), file.name), file.stem)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table or write it. Exit code 1: some error is not treated as it ought to be, or there are faults."""
    parser = argparse.ArgumentParser(prog="coverage", description=__doc__)
    parser.add_argument("rules", type=Path, help="a folder of rules")
    parser.add_argument("errors", type=Path, help="a folder of error texts")
    parser.add_argument("--write", type=Path, metavar="README", help="replace the table between this file's markers")
    parser.add_argument("--route", action="append", default=[], help="a route that the rules name, beside 'default'")
    given = parser.parse_args(arguments)
    routes = {name: Route(name) for name in ("default", *given.route)}
    try:
        rows = cover(errors_in(given.errors), RuleSet(load_rules([given.rules], Policy(routes=routes))))
    except Faults as bad:
        print(*bad.faults, sep="\n", file=sys.stderr)
        return 1
    if given.write:
        given.write.write_text(put_into(given.write.read_text("utf-8"), table_of(rows)), "utf-8")
        print(summary_of(rows))
    else:
        print(table_of(rows))
    return _tell_unwanted(rows)


def _tell_unwanted(rows: Iterable[Row]) -> int:
    unwanted = [row for row in rows if not row.is_as_wanted]
    for row in unwanted:
        print(f"{row.error.place}: wanted {row.error.treatment}, got {row.treatment} by {row.rule}", file=sys.stderr)
    return 1 if unwanted else 0


if __name__ == "__main__":
    sys.exit(main())
