"""The text of a scheduled report: what it must name, and that it is bounded whatever there was."""

from __future__ import annotations

from remediator.model.action import Action, Report
from remediator.model.inputs import Reported
from remediator.model.policy import Policy
from remediator.model.time import HOUR, SECOND
from remediator.runtime.reporter import MOST_TEXT, Reporter, summary_of, text_of
from remediator.store.memory import MemoryStore

NOW = 1_800_000_000 * SECOND
COUNTS = {"opened": 12, "healed": 9, "open": 2, "held": 3, "refused": 1, "unknown": 1, "unclassified": 4, "pages": 2,
          "changes": 10}  # fmt: skip


def view(size: int) -> dict[str, object]:
    reason = {"reason": "frozen", "times": 3, "incidents": 2}
    rule = {"rule": "reset", "changes": 10, "helped": 9, "in_vain": 1, "precision": 0.9, "ever": {"precision": 0.75}}
    return {
        "since": "2027-01-15T20:00:00.000000Z",
        "counts": COUNTS,
        "pages": {"oncall": 2},
        "rules": [rule] * size,
        "rates": [{"rule": "reset", "signature": "5a1f", "deployment": "prod", "helped": 9, "in_vain": 1}] * size,
        "healed": [{"deployment": "prod", "dag_id": "sales", "task_id": "load", "rule": "reset"}] * size,
        "held": [reason] * size,
        "refused": [reason] * size,
        "unknown": [{"title": "sales.load failed", "text": "timed out\nand more"}] * size,
        "unclassified": [{"count": 4, "template": "KeyError: <text>"}] * size,
        "observing": [{"rule": "try", "times": 5, "incidents": 4, "ended_well": 0.8, "paged": 1}] * size,
    }


def test_every_part_is_named() -> None:
    text = text_of(view(1))
    for wanted in ("reset: 10 changes, precision 90 % (9 of 10), ever 75 %", "prod/sales/load by reset", "oncall: 2",
                   "frozen: 3 times, 2 incidents", "sales.load failed: timed out and more", "4 × KeyError: <text>",
                   "try would have answered 5 times in 4 incidents: 80 %"):  # fmt: skip
        assert wanted in text
    assert summary_of(view(1)).startswith("since 2027-01-15 20:00 UTC: 12 incidents opened, 9 healed, 2 open; 3 held")


def test_it_is_bounded_and_names_where_the_rest_is() -> None:
    text = text_of(view(500))
    assert len(text) <= MOST_TEXT + 50
    assert "and 492 more" in text
    assert text.endswith("`remediator report` tells all of it")


async def test_it_is_read_from_the_store() -> None:
    store = MemoryStore(clock=lambda: NOW)
    ask = Action("r1", "report", "world", "", Report(NOW - 12 * HOUR, NOW), NOW, NOW + HOUR)
    (answer,) = await Reporter(store, lambda: NOW, Policy).ask([ask], NOW)
    assert isinstance(answer, Reported)
    assert answer.summary == summary_of({"since": "2027-01-14T20:00", "counts": dict.fromkeys(COUNTS, 0)})
