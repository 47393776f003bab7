"""What makes a rule a detector, and when it is awake: window, sequence, compound, periods and conditions.

Owns the grammar and the limits of these keys. How they are evaluated is the engine's.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from math import ceil
from typing import TypeVar

from remediator.model.time import DAY, MINUTE, SECOND, Duration, format_duration
from remediator.rules.periods import parse_days, parse_minutes, zone_of
from remediator.rules.selection import Defines, check_field, read_selector
from remediator.rules.spec import Compound, During, Period, Sequence, Window
from remediator.rules.texts import read_template
from remediator.rules.toml import Table, listing, show

T = TypeVar("T")
SHORTEST: Duration = SECOND
LONGEST: Duration = 7 * DAY
MAX_COUNT = 1_000
MAX_PER_MINUTE = 1_000
FEWEST_STEPS = 2
MOST_STEPS = 5
MAX_MEMBERS = 100
MAX_PERIODS = 20
MAX_CONDITIONS = 10
STATEFUL = ("window", "sequence", "compound", "hold_for", "cool_down", "once_within")
"""Keys any of which makes a rule a detector."""
KINDS = ("window", "sequence", "compound")
NEEDS = ("all", "any")


def read_length(table: Table, key: str) -> Duration:
    """A length of event time; 0 if it is absent."""
    return table.duration(key, 0, SHORTEST, LONGEST)


def read_window(rule: Table, defines: Defines) -> Window | None:
    """`window`, None if absent."""
    table = rule.table("window")
    if "window" not in rule:
        return None
    table.require("length")
    window = Window(
        length=read_length(table, "length"),
        at_least=_at_least(table),
        distinct=table.text("distinct"),
        of=read_selector(table.table("of"), defines) if table.raw("of") is not None else None,
        ratio=table.number("ratio", 0.0, 0, 1),
        min_sample=table.integer("min_sample", 1, 1, MAX_COUNT),
    )
    table.close()
    if window.distinct:
        check_field(table, "distinct", window.distinct)
    _check_window(table)
    return window


def _at_least(table: Table) -> int:
    """The count, or the one that a rate comes to over the window's length."""
    count = table.integer("at_least", 1, 1, MAX_COUNT)
    if "per_minute" not in table:
        table.raw("per_minute")
        return count
    before = len(table.document.faults)
    rate = table.number("per_minute", 1, 0, MAX_PER_MINUTE)
    length = table.duration("length", MINUTE, SHORTEST, LONGEST)
    if len(table.document.faults) > before:
        return count
    needed = ceil(Fraction(str(rate)) * length / MINUTE)
    if not 1 <= needed <= MAX_COUNT:
        found = f"{table.data['per_minute']} a minute: {needed:,} in {format_duration(length)}"
        table.fault("per_minute", found, f"a rate that comes to 1 to {MAX_COUNT:,} in the window")
    return min(max(needed, 1), MAX_COUNT)


def _check_window(table: Table) -> None:
    if not any(key in table for key in ("at_least", "distinct", "ratio", "per_minute", "of")):
        table.fault("", "a length alone", "at_least, per_minute, or of and ratio")
    if "at_least" in table and "per_minute" in table:
        table.fault("per_minute", "at_least as well as per_minute", "one of them")
    if ("of" in table) != ("ratio" in table):
        found, other = ("of without ratio", "ratio") if "of" in table else ("ratio without of", "of")
        table.fault("", found, f"{other} too: a share of what")
    if "ratio" in table and table.data["ratio"] == 0:
        table.fault("ratio", "0", "more than 0, at most 1")
    if "distinct" in table and "ratio" in table:
        table.fault("distinct", "distinct as well as ratio", "one of them")
    if "distinct" in table and not any(key in table for key in ("at_least", "per_minute")):
        table.fault("", "distinct without at_least", "how many different values: at_least")
    if "min_sample" in table and "of" not in table:
        table.fault("min_sample", "min_sample without of", "of and ratio too")


def read_sequence(rule: Table, defines: Defines) -> Sequence | None:
    """`sequence`, None if absent."""
    table = rule.table("sequence")
    if "sequence" not in rule:
        return None
    table.require("within", "steps")
    steps = table.tables("steps")
    if isinstance(table.data.get("steps"), list) and not FEWEST_STEPS <= len(table.data["steps"]) <= MOST_STEPS:
        table.fault("steps", f"{len(table.data['steps'])} steps", f"{FEWEST_STEPS} to {MOST_STEPS}")
        steps = []
    sequence = Sequence(read_length(table, "within"), tuple(read_selector(step, defines) for step in steps))
    table.close()
    return sequence


def read_compound(rule: Table) -> Compound | None:
    """`compound`, None if absent. Whether its rules exist is seen when all files are read."""
    table = rule.table("compound")
    if "compound" not in rule:
        return None
    table.require("within", "rules", "need")
    rules = table.texts("rules", max_items=MAX_MEMBERS)
    if table.data.get("rules") == []:
        table.fault("rules", "an empty list", "the ids of two or more rules")
    elif len(set(rules)) < len(rules):
        table.fault("rules", "a rule twice", "each rule once")
    compound = Compound(read_length(table, "within"), rules, _need(table, len(rules)))
    table.close()
    return compound


def _need(table: Table, members: int) -> int:
    need, allowed = table.raw("need"), f'"all", "any" or a number from 1 to {max(members, 1)}'
    if need is None or need in NEEDS:
        return 1 if need == "any" else members
    if isinstance(need, bool) or not isinstance(need, int) or (members and not 1 <= need <= members):
        table.fault("need", show(need), allowed)
        return members
    return need


def check_kinds(rule: Table) -> None:
    """Faults for keys that do not go together, or that lack another."""
    kinds = [key for key in KINDS if key in rule]
    if len(kinds) > 1:
        rule.fault(kinds[1], " as well as ".join(kinds[:2]), "one of window, sequence and compound")
    for kind in (key for key in ("sequence", "compound") if key in rule):
        for key in (key for key in ("on", "where") if key in rule):
            why = "its steps say which events" if kind == "sequence" else "its rules say which events"
            rule.fault(key, f"{key} in a rule with {kind}", f"no {key}: {why}")
    stateful = [key for key in STATEFUL if key in rule]
    if stateful and "per" not in rule:
        allowed = "per = the fields that each have a state of their own, [] for one state of all"
        rule.fault("", f"{listing(stateful)} without per", allowed)
    if "per" in rule and not stateful:
        rule.fault(
            "per", "per in a rule that keeps no state", f"one of {listing(STATEFUL)} too; group names an incident"
        )


# When ---------------------------------------------------------------------------------------------------------------


def read_periods(rule: Table, key: str) -> tuple[Period, ...]:
    """`active` or `quiet`: one period or a list."""
    return tuple(_period(table) for table in rule.table_or_tables(key, MAX_PERIODS))


def _period(table: Table) -> Period:
    usual = Period()
    period = Period(
        begin=_parsed(table, "from", parse_minutes, usual.begin),
        end=_parsed(table, "to", _end_minutes, usual.end),
        days=_parsed(table, "days", parse_days, usual.days),
        timezone=_parsed(table, "timezone", _zone_name, usual.timezone),
    )
    table.close()
    if not any(key in table for key in ("days", "from", "to")):
        table.fault("", "neither days nor from and to", "days, from and to, or both")
    elif ("from" in table) != ("to" in table):
        table.fault("", "from without to" if "from" in table else "to without from", "both")
    return period


def _parsed(table: Table, key: str, parse: Callable[[object], T], usual: T) -> T:
    value = table.raw(key)
    if value is None:
        return usual
    try:
        return parse(value)
    except ValueError as error:
        table.fault(key, show(value), str(error))
        return usual


def _end_minutes(text: object) -> int:
    return parse_minutes(text, end=True)


def _zone_name(name: object) -> str:
    return zone_of(name).key


def read_conditions(rule: Table, key: str) -> tuple[During, ...]:
    """`during` or `not_during`: one condition or a list."""
    return tuple(_condition(table) for table in rule.table_or_tables(key, MAX_CONDITIONS))


def _condition(table: Table) -> During:
    table.require("condition")
    during = During(
        condition=table.text("condition", max_length=200),
        scope=read_template(table, "scope", 500),
        grace=table.duration("grace", 0, 0, LONGEST),
    )
    if table.data.get("condition") == "":
        table.fault("condition", '""', "a condition such as 'node.not_ready'")
    table.close()
    return during
