"""The difference of two rule sets over the same record: by rule, incident and effect what is new, gone and changed."""

from __future__ import annotations

import msgspec

from remediator.backtest.report import Outcome

NOTICED = ("paged", "notified", "retried", "helped", "fired", "would have fired", "unclassified")


class Change(msgspec.Struct, frozen=True):
    """One effect of one rule on one incident, and how often: `before` in what is compared against, `after` now."""

    rule: str
    incident: str
    title: str
    effect: str
    before: int
    after: int


class Difference(msgspec.Struct, frozen=True):
    """new: did not come before; gone: does not come any more; changed: comes more or less often.

    totals: (effect, times before, times now), of effects that people notice, if they differ.
    """

    totals: tuple[tuple[str, int, int], ...]
    new: tuple[Change, ...]
    gone: tuple[Change, ...]
    changed: tuple[Change, ...]

    def __bool__(self) -> bool:
        return bool(self.new or self.gone or self.changed)


def difference(before: Outcome, after: Outcome) -> Difference:
    """What `after` does otherwise, by rule, title, effect."""
    found = [
        Change(
            rule,
            incident,
            after.titles.get(incident) or before.titles.get(incident, ""),
            effect,
            before.rows.get((rule, incident, effect), 0),
            after.rows.get((rule, incident, effect), 0),
        )
        for rule, incident, effect in before.rows.keys() | after.rows.keys()
    ]
    found.sort(key=lambda one: (one.rule, one.title, one.incident, one.effect))
    totals = ((effect, before.count(effect), after.count(effect)) for effect in NOTICED)
    return Difference(
        totals=tuple(one for one in totals if one[1] != one[2]),
        new=tuple(one for one in found if not one.before),
        gone=tuple(one for one in found if not one.after),
        changed=tuple(one for one in found if one.before and one.after and one.before != one.after),
    )
