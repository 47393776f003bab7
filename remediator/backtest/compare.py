"""The difference of two rule sets over the same record: by rule, incident and effect what is new, gone and changed."""

from __future__ import annotations

import msgspec

from remediator.backtest.report import Outcome


class Change(msgspec.Struct, frozen=True):
    """One effect of one rule on one incident, and how often: `before` in what is compared against, `after` now."""

    rule: str
    incident: str
    title: str
    effect: str
    before: int
    after: int


class Difference(msgspec.Struct, frozen=True):
    """new: did not come before; gone: does not come any more; changed: comes more or less often."""

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
    return Difference(
        new=tuple(one for one in found if not one.before),
        gone=tuple(one for one in found if not one.after),
        changed=tuple(one for one in found if one.before and one.after and one.before != one.after),
    )
