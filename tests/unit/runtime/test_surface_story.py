"""Stories told from a store: abbreviated ids, what is read beside the incident, and what is not there."""

from __future__ import annotations

import msgspec
import pytest

from remediator.demo.scripts import PAGE, POLICY, RETRY, RUN, fails, healed, line_of, node_ends, told_incident
from remediator.model.event import Event
from remediator.model.incident import Incident
from remediator.model.inputs import Fact, decode_inputs, encode_inputs
from remediator.model.policy import Mode
from remediator.model.record import Origin
from remediator.model.truth import Finding
from remediator.rules.spec import Rule, RuleSetSpec, encode_rule_set
from remediator.runtime.surface_story import Storyteller
from remediator.store.memory import MemoryStore
from remediator.store.port import StepCommit
from remediator.testing.timeline import Timeline
from remediator.web.port import NotThere, Several, View


async def stored(line: Timeline) -> Storyteller:
    """A teller over a store that holds what the story came to."""
    store = MemoryStore(clock=lambda: line.now)
    await store.open()
    rules = line.rule_set(line.core.world.rule_set)
    await store.put_rule_set(rules.hash, encode_rule_set(rules.spec))
    lease = await store.acquire_lease("test", 10**12)
    assert lease is not None
    for entry in line.journal:
        assert await store.append([entry.input], entry.at) == entry.position
    for changes in line.changes:
        at = line.journal[changes.position - 1].at
        step = StepCommit(changes.position, at, changes.states, changes.timers, changes.actions, (), changes.incidents,
                          changes.decisions)  # fmt: skip
        await store.commit_step(lease, step)
    return Storyteller(store, lambda: line.now)


async def test_an_incident_is_found_by_a_unique_beginning_of_its_id() -> None:
    line = healed()
    incident = told_incident(line)
    found = await (await stored(line)).incident(incident.id[:6])
    assert found["incident"]["id"] == incident.id
    assert [one["reason"] for one in found["story"]["lines"]][:2] == ["suspected", "failed_finally"]
    shown = " ".join(found["story"]["lines"][0]["more"])
    assert "task.failed of 2027-01-15 08:00:10Z, feed feed" in shown
    rules = {fact["name"]: fact["text"] for fact in found["story"]["facts"]}["rule"]
    assert rules == "lost-connection: Retry what lost its connection (mode act, network.toml:3)"


async def test_an_action_is_found_likewise() -> None:
    line = healed()
    (retry,) = (one for one in line.actions if one.kind == "airflow.retry")
    found = await (await stored(line)).action(retry.id[:10])
    assert found["action"]["id"] == retry.id
    assert found["action"]["params"]["run_id"] == "scheduled__2027-01-15T08:00:00+00:00"
    assert found["incident"]["id"] == told_incident(line).id
    assert {one["reason"] for one in found["decisions"]} == {"retry_issued", "delivered", "helped"}


@pytest.mark.parametrize("given", ["nothing", "", "%", "_"])
async def test_what_is_not_there_is_said(given: str) -> None:
    teller = await stored(healed())
    with pytest.raises(NotThere, match="no incident has the id"):
        await teller.incident(given)
    with pytest.raises(NotThere, match="no action that is still kept has the id"):
        await teller.action(given)


def _sharing(line: Timeline) -> tuple[str, list[Incident]]:
    """A beginning that several incidents share."""
    for incident in line.incidents.values():
        same = [one for one in line.incidents.values() if one.id[0] == incident.id[0]]
        if len(same) > 1:
            return incident.id[0], same
    raise AssertionError("no two ids begin alike")


async def test_an_id_that_names_several_lists_them() -> None:
    line = line_of().at("10s")
    for number in range(20):  # more than there are first digits
        fails(line, dag_id=f"dag{number}")
    line.at("1m")
    shared, same = _sharing(line)
    teller = await stored(line)
    with pytest.raises(Several, match=f"{len(same)} incidents begin with") as caught:
        await teller.incident(shared)
    assert sorted(caught.value.found) == sorted(f"{one.id}  {one.title}" for one in same)
    with pytest.raises(Several) as listed:
        await teller.action(line.actions[-1].id[0])
    assert all(one.startswith(line.actions[-1].id[0]) for one in listed.value.found)


async def test_what_a_rule_over_time_saw_before_its_incident_is_told_with_it() -> None:
    line = node_ends()
    found = await (await stored(line)).incident(told_incident(line).id)
    assert [one["reason"] for one in found["story"]["lines"]][:3] == ["holding", "fired", "incident_opened"]


async def test_what_was_decided_of_a_task_is_told_with_the_incident_that_its_rule_made_of_many() -> None:
    line = fails(line_of(RETRY, group=("deployment", "dag_id")).at("10s")).at("70s")
    found = await (await stored(line)).incident(told_incident(line).id)
    reasons = [one["reason"] for one in found["story"]["lines"]]
    assert reasons[:3] == ["suspected", "failed_finally", "rule_responds"]
    assert reasons.count("incident_opened") == 1
    assert "began with" in {fact["name"] for fact in found["story"]["facts"]}


async def test_an_action_of_an_earlier_episode_is_told_with_its_own_decisions() -> None:
    line = healed()
    fails(line, 1, run_id="manual__2").at("8m")
    first, second = (one for one in line.actions if one.kind == "airflow.retry")
    teller = await stored(line)
    assert told_incident(line).episode == 2
    found = await teller.action(first.id)
    assert "Proved: it helped." in {one["name"]: one["text"] for one in found["story"]["facts"]}["proof"]
    whole = await teller.incident(told_incident(line).id)
    assert {one.get("action_id") for one in whole["story"]["lines"]} & {first.id, second.id} == {second.id}


def facts(view: View) -> dict[str, str]:
    return {one["name"]: one["text"] for one in view["story"]["facts"]}


def read_from(line: Timeline, origin: Origin) -> Timeline:
    """The story as though its facts had been read there."""
    for number, entry in enumerate(line.journal):
        if isinstance(entry.input, Fact):
            given = msgspec.structs.replace(entry.input, origin=origin)
            line.journal[number] = msgspec.structs.replace(entry, input=given)
    return line


async def test_a_story_names_the_record_that_began_it() -> None:
    line = read_from(healed(), Origin("main", "openlineage", 2, 1234))
    teller = await stored(line)
    (retry,) = (one for one in line.actions if one.kind == "airflow.retry")
    incident, action = await teller.incident(told_incident(line).id), await teller.action(retry.id)
    assert facts(incident)["began with"].startswith("record main/openlineage[2]@1234, task.failed of 2027-01-15")
    assert facts(action)["record"].startswith("main/openlineage[2]@1234, task.failed of 2027-01-15")
    record = {"feed": "main", "topic": "openlineage", "partition": 2, "offset": 1234}
    assert incident["story"]["record"] == action["story"]["record"] == record


async def test_the_success_that_ended_it_is_shown_by_its_record() -> None:
    line = (
        fails(line_of(PAGE).at("10s")).at("1m").task_success("load", 1, run_id="scheduled__2027-01-16T08:00:00+00:00")
    )
    found = await (await stored(read_from(line.at("2m"), Origin("main", "t", 0, 7)))).incident(told_incident(line).id)
    (end,) = (one for one in found["story"]["lines"] if one["reason"] == "recovered")
    assert end["more"][0].startswith("the record: main/t[0]@7, task.success of ")


async def test_what_a_look_found_has_no_record() -> None:
    line = line_of(RETRY).at("10s").look_says("audit", "failed", 1, run_id=RUN)
    fails(line).at("10m")
    found = next(one for one in line.incidents.values() if one.task_id == "audit")
    told = await (await stored(line)).incident(found.id)
    assert facts(told)["began with"] == "no record: a look at the scheduler found it"
    assert told["story"]["record"] is None


async def test_what_a_survey_found_has_no_record() -> None:
    line = Timeline(RuleSetSpec((Rule("full", on=("pool.full",), mode=Mode.ACT, do=(PAGE,)),), POLICY))
    line.findings["prod"] = (Finding("pool.full", "pool/etl", "pool.free"),)
    incident = told_incident(line.at("10m"), "full")
    told = await (await stored(line)).incident(incident.id)
    assert facts(told)["began with"] == "no record: a survey of the scheduler found it"


async def test_a_record_whose_place_was_not_noted_is_told_by_its_feed() -> None:
    told = await (await stored(healed())).incident(told_incident(healed()).id)
    assert facts(told)["began with"] == "record task.failed of 2027-01-15 08:00:10Z, feed feed"
    assert told["story"]["record"] is None


def test_what_was_journalled_without_a_place_is_still_read() -> None:
    fact = Fact(Event("task.failed", 1, deployment="prod"))
    with_place = msgspec.structs.replace(fact, origin=Origin("main", "t", 0, 7))
    assert b"origin" not in encode_inputs([fact])
    assert decode_inputs(encode_inputs([fact, with_place])) == [fact, with_place]
