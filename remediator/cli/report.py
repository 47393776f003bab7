"""`remediator report`: what happened in the last hours, for whoever takes over."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import typer

from remediator.cli.daemon import ConfigOption, JsonOption, UrlOption, find_daemon
from remediator.cli.output import columns, fail, safe, say, say_json
from remediator.model.shares import percent
from remediator.model.text import cut

View = dict[str, Any]
SHOWN = 20
TITLE_LIMIT = 80


def report(
    since: Annotated[str, typer.Option("--since", help="How far back, such as 12h or 7d.")] = "12h",
    url: UrlOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tell what was healed, held, refused, unknown, unclassified, paged and asked, and how well each rule did."""
    found = find_daemon(config, url).get("/api/v1/report", "counts", since=since)
    if as_json:
        say_json(found)
        return
    try:
        lines = list(report_lines(found))
    except (KeyError, TypeError):
        fail("what answers there is not this version of remediator")
    for line in lines:
        say(line)


def report_lines(found: View) -> Iterator[str]:
    """The report as a person reads it."""
    yield f"from {_clock(found['since'])} to {_clock(found['until'])}"
    yield from _counts(found["counts"], found["pages"])
    yield from _table("healed", ("INCIDENT", "RULE", "WHERE", "WHAT"), [_healed(one) for one in found["healed"]])
    yield from _table("held", ("WHY", "TIMES", "INCIDENTS"), [_reason(one) for one in found["held"]])
    yield from _table("refused", ("WHY", "TIMES", "INCIDENTS"), [_reason(one) for one in found["refused"]])
    yield from _table("unknown: what became of these could not be found out", ("INCIDENT", "AT", "WHAT"),
                      [_unknown(one) for one in found["unknown"]])  # fmt: skip
    yield from _table("unclassified: no rule knew these", ("SIGNATURE", "FAILURES", "DAGS", "ERROR"),
                      [_group(one) for one in found["unclassified"]])  # fmt: skip
    yield from _table("rules", ("RULE", "ANSWERED", "CHANGES", "HELPED", "IN VAIN", "PRECISION", "EVER"),
                      [_rule(one) for one in found["rules"]])  # fmt: skip
    yield from _table("what changes came to since ever, by rule, error and deployment",
                      ("RULE", "ERROR", "DEPLOYMENT", "HELPED", "IN VAIN", "PRECISION"),
                      [_rate(one) for one in found["rates"]])  # fmt: skip
    yield from _table("rules that only observe, and how it ended without them",
                      ("RULE", "TIMES", "INCIDENTS", "PAGED", "ENDED WELL", "HOW", "WOULD HAVE DONE"),
                      [_observed(one) for one in found["observing"]])  # fmt: skip
    yield from _table("proposals", ("AT", "RULE", "ANSWER", "BY", "WHAT"), [_asked(one) for one in found["proposals"]])
    if found["more"]:
        yield ""
        yield "there was more than one report reads: ask for a shorter time"


def _counts(counts: View, pages: View) -> Iterator[str]:
    otherwise = sum(counts["ended_otherwise"].values())
    how = ", ".join(f"{safe(name)} {count}" for name, count in sorted(counts["ended_otherwise"].items()))
    yield (f"incidents: {counts['opened']} opened, {counts['healed']} healed, {otherwise} ended otherwise"
           f"{f' ({how})' if how else ''}, {counts['open']} open")  # fmt: skip
    routes = ", ".join(f"{safe(name) or 'no route'} {count}" for name, count in sorted(pages.items()))
    digested = f", {counts['digested']} more in digests" if counts["digested"] else ""
    yield f"pages: {counts['pages']}{f' ({routes})' if routes else ''}{digested}; changes: {counts['changes']}"
    yield (f"incidents, however often they came back: held {counts['held']}, refused {counts['refused']}, "
           f"unclassified {counts['unclassified']}; "
           f"changes of which nobody knows what became {counts['unknown']}")  # fmt: skip


def _table(title: str, head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    if not rows:
        return
    yield ""
    yield title
    yield from (f"  {line}" for line in columns([head, *rows[:SHOWN]]))
    if len(rows) > SHOWN:
        yield f"  and {len(rows) - SHOWN} more"


def _healed(one: View) -> tuple[str, ...]:
    where = "/".join(safe(one[name]) for name in ("deployment", "dag_id", "task_id") if one[name])
    return safe(one["incident"])[:12], safe(one["rule"]), where, _short(one["title"])


def _reason(one: View) -> tuple[str, ...]:
    examples = _some([safe(example)[:12] for example in one["examples"][:3]], one["incidents"])
    return safe(one["reason"]), str(one["times"]), f"{one['incidents']}{f' ({examples})' if examples else ''}"


def _unknown(one: View) -> tuple[str, ...]:
    return safe(one["incident"])[:12], _clock(one["at"]), _short(f"{one['title']}: {one['text']}")


def _group(one: View) -> tuple[str, ...]:
    dags = _some([_short(dag) for dag in one["dags"][:2]], len(one["dags"]) + one["more_dags"])
    return safe(one["id"]) or "-", str(one["count"]), dags, _short(one["template"] or "(no error text)")


def _some(shown: list[str], total: int) -> str:
    """'a, b and 3 more'"""
    return f"{', '.join(shown)}{f' and {total - len(shown)} more' if 0 < len(shown) < total else ''}"


def _rule(one: View) -> tuple[str, ...]:
    ever = one["ever"]
    since_ever = f"{percent(ever['precision'])} of {ever['helped'] + ever['in_vain']}"
    return (safe(one["rule"]), str(one["answered"]), str(one["changes"]), str(one["helped"]), str(one["in_vain"]),
            percent(one["precision"]), since_ever)  # fmt: skip


def _rate(one: View) -> tuple[str, ...]:
    return (safe(one["rule"]), safe(one["signature"]) or "-", safe(one["deployment"]) or "-", str(one["helped"]),
            str(one["in_vain"]), percent(one["precision"]))  # fmt: skip


def _observed(one: View) -> tuple[str, ...]:
    how = ", ".join(f"{safe(name)} {count}" for name, count in sorted(one["ends"].items()))
    return (safe(one["rule"]), str(one["times"]), str(one["incidents"]), str(one["paged"]), percent(one["ended_well"]),
            how, _short(one["would_have_done"]))  # fmt: skip


def _asked(one: View) -> tuple[str, ...]:
    return _clock(one["at"]), safe(one["rule"]), safe(one["answer"]), safe(one["by"]) or "-", _short(one["text"])


def _clock(text: str) -> str:
    return safe(text)[:19].replace("T", " ")


def _short(text: str) -> str:
    shown = safe(text)
    return cut(shown, TITLE_LIMIT)
