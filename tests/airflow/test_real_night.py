"""Every DAG of the table on a real Airflow, treated by one daemon with the packs as they are shipped."""

from __future__ import annotations

import asyncio
import json

import pytest

from remediator.demo.broker import EmbeddedBroker
from tests.airflow import night as nights
from tests.airflow.night import Night, Seen
from tests.airflow.real_airflow import PERSON, USERNAME, RealAirflow
from tests.airflow.table import FOUND, HEALED, LEFT_ALONE, NIGHT, PAGED, RACE, THEIRS, Row, Treatment

pytestmark = [pytest.mark.airflow, pytest.mark.subprocesses]

HEALED_ROWS = [row for row in NIGHT if row.treatment is HEALED]
STORY_LIMIT = 6_000


@pytest.fixture(scope="session")
def night(real_airflow: RealAirflow, suite_broker: EmbeddedBroker, tmp_path_factory: pytest.TempPathFactory) -> Night:
    return asyncio.run(nights.lived(real_airflow, suite_broker, tmp_path_factory.mktemp("night") / "remediator"))


@pytest.mark.parametrize("row", NIGHT, ids=lambda row: row.name)
def test_each_dag_is_treated_as_the_table_says(row: Row, night: Night) -> None:
    seen = night.seen[row.name]
    assert outcome(seen) == expected(row), told(row, seen, night)


@pytest.mark.parametrize("row", HEALED_ROWS, ids=lambda row: row.name)
def test_each_clear_is_signed_with_its_action_and_took_effect(row: Row, night: Night) -> None:
    seen = night.seen[row.name]
    (story,) = seen.stories
    changes = sorted(f"remediator:{one['id']}" for one in story["actions"] if one["kind"].startswith("airflow."))
    notes = sorted(one["note"].splitlines()[-1].partition(" ")[0] for one in seen.clears)
    assert notes == changes, told(row, seen, night)
    assert seen.clear_number == row.clears, told(row, seen, night)


def test_of_a_mapped_task_the_failed_index_alone_is_named(night: Night) -> None:
    (clear,) = night.seen["partition_sync"].clears
    assert clear["task_ids"] == [["sync", 1]]


@pytest.mark.parametrize(("name", "failures"), [("killed_job", 0), ("killed_early", 0), ("killed_twice", 1)])
def test_what_is_found_was_not_announced(name: str, failures: int, night: Night) -> None:
    assert night.seen[name].lineage.count("FAIL") == failures


@pytest.mark.parametrize("name", ["killed_early", "stuck_report"])
def test_people_know_before_the_dagrun_has_ended(name: str, night: Night) -> None:
    assert night.seen[name].paged_at == "running", night.log


def test_of_a_person_and_remediator_at_the_same_moment_one_clears(night: Night) -> None:
    seen = night.seen[RACE.name]
    (story,) = seen.stories
    delivered = [one for one in story["actions"] if one["kind"] == "airflow.retry" and one["state"] == "delivered"]
    winner = f"remediator:{delivered[0]['id']}" if delivered else nights.BY_HAND
    assert (seen.state, seen.tries, seen.clear_number, seen.pages) == (RACE.ends, RACE.tries, 1, []), told(
        RACE, seen, night
    )
    assert seen.note.startswith(winner), told(RACE, seen, night)
    assert story["incident"]["phase"] == "resolved", told(RACE, seen, night)
    assert story["incident"].get("helped") is (True if delivered else None), told(RACE, seen, night)
    assert delivered or "cleared by somebody else" in str(story) or "fixed by somebody else" in str(story)


def test_that_many_dags_fail_is_told_once_and_nothing_else_is_told(night: Night) -> None:
    assert [page["payload"]["class"] for page in night.other_pages] == ["many-dags-failing"], night.log


def expected(row: Row) -> dict[str, object]:
    return {
        "treatment": str(row.treatment), "the dagrun ends": row.ends, "clears": row.clears, "pages": row.pages,
        "rules": row.rules, "tries": row.tries,
    }  # fmt: skip


def outcome(seen: Seen) -> dict[str, object]:
    ours = [one for one in seen.clears if one["owner"] == USERNAME]
    rules = {story["incident"]["rule"] for story in seen.stories}
    return {
        "treatment": str(treatment(seen)), "the dagrun ends": seen.state, "clears": len(ours), "pages": len(seen.pages),
        "rules": tuple(sorted(rules)), "tries": seen.tries,
    }  # fmt: skip


def treatment(seen: Seen) -> Treatment | str:
    is_over = all(story["incident"]["phase"] == "resolved" for story in seen.stories)
    if seen.pages:
        return FOUND if "found_by_look" in seen.reasons and "announced_late" not in seen.reasons else PAGED
    if not seen.stories and not seen.clears:
        return LEFT_ALONE
    if is_over and any(one["owner"] == PERSON for one in seen.clears):
        return THEIRS
    return HEALED if is_over and seen.clears else "none that has a name"


def told(row: Row, seen: Seen, night: Night) -> str:
    """For whoever reads the failure."""
    stories = [
        [f"{one['reason']}: {one['text']}" for one in story["decisions"]]
        + [f"{one['kind']} {one['state']}: {one['detail']}" for one in story["actions"]]
        for story in seen.stories
    ]
    clears = [(one["owner"], one.get("note")) for one in seen.clears]
    return (
        f"{row.name}: {row.happens}; {row.why}\nclears {clears}\nthe daemon's story "
        f"{json.dumps(stories, indent=1)[:STORY_LIMIT]}\nits log ends\n{night.log}"
    )
