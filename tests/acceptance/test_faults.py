"""What is wrong around the daemon: it says so in clear words, loses nothing, and goes on when it is mended."""

from __future__ import annotations

import signal
from collections import Counter
from typing import Any

import pytest

from remediator.demo.broker import EmbeddedBroker
from remediator.demo.fleet.faults import Fault, Kind
from tests.acceptance.harness import (
    QUICK_POLICY,
    RETRY_RULE,
    DaemonProcess,
    Site,
    clock,
    command,
    eventually,
    write_config,
)

pytestmark = [pytest.mark.broker, pytest.mark.subprocesses]

BAD_RULES = RETRY_RULE.replace('"warning"', '"loud"').replace("max_attempts = 2", "max_attempts = 0")
OTHER_RULES = RETRY_RULE.replace("reset by peer", "reset by (peer|proxy)")


def fails(place: Site, dag: str, run: str = "r1") -> None:
    """Let a dagrun begin that will fail."""
    place.world.run_dag(dag, run, clock())


async def readiness(daemon: DaemonProcess) -> tuple[int, str]:
    response = await daemon.get("/readyz")
    return response.status_code, " ".join(response.json()["reasons"])


async def is_ready(daemon: DaemonProcess) -> bool:
    return await readiness(daemon) == (200, "")


def texts(daemon: DaemonProcess, event: str, field: str = "problem") -> list[str]:
    return [str(line[field]) for line in daemon.lines(event)]


# -- what the user wrote ------------------------------------------------------------------------------------------


async def refused(place: Site, settings: dict[str, Any]) -> str:
    """Run the daemon with faulty settings: its one message."""
    code, out, error = await command("run", "--config", str(write_config(place.folder, settings)))
    assert code == 2
    assert "Traceback" not in error
    assert out == ""
    return error


async def test_all_faults_of_a_configuration_are_told_at_once(unfed: Site) -> None:
    error = await refused(
        unfed,
        unfed.settings(
            deployment=[unfed.deployment(ceiling="everything", feed="mian")],
            policy={**QUICK_POLICY, "look_delay": "soon"},
            http={"port": 99_999, "tokn": "x"},
            routes={"default": {"destinations": [{"kind": "pagerduty", "receiver": "nobody"}]}},
        ),
    )
    for place, found in [
        ("ceiling", '"everything"'), ("feed", '"mian"'), ("look_delay", '"soon"'), ("port", "99"),
        ("tokn", "tokn"), ("receiver", '"nobody"'),
    ]:  # fmt: skip
        assert any(place in line and found in line and "allowed" in line for line in error.splitlines()), (place, error)


async def test_all_faults_of_a_rule_file_are_told_at_once(unfed: Site) -> None:
    error = await refused(unfed, unfed.settings(rules={"paths": [unfed.rules(BAD_RULES)]}))
    for place, found in [("severity", '"loud"'), ("max_attempts", "found 0")]:
        line = next(line for line in error.splitlines() if place in line)
        assert "rules.toml:" in line
        assert found in line
        assert "allowed" in line


async def test_a_bad_rule_file_changes_nothing_that_runs(place: Site) -> None:
    async with DaemonProcess(place.config()) as daemon:
        before = daemon.lines("rules.activated")[0]["rule_set"]
        await eventually(lambda: _has_rule_set(daemon, before), "the first rules decide")
        place.rules(BAD_RULES)
        await eventually(lambda: daemon.lines("rules.rejected"), "the file is refused")
        line = daemon.lines("rules.rejected")[0]
        assert line["kept"] == before
        assert "severity" in line["faults"]
        assert "max_attempts" in line["faults"]
        assert (await daemon.status())["rule_set"] == before
        fails(place, "resets")
        await eventually(lambda: place.clears, "the old rules are in force")

        place.rules(OTHER_RULES)
        await eventually(lambda: len(daemon.lines("rules.activated")) == 2, "the mended file is taken")
        after = daemon.lines("rules.activated")[1]["rule_set"]
        await eventually(lambda: _has_rule_set(daemon, after), "and decides")
        assert after != before


async def _has_rule_set(daemon: DaemonProcess, wanted: str) -> bool:
    return bool((await daemon.status())["rule_set"] == wanted)


async def test_sighup_reloads_the_rules_when_nobody_watches_the_files(unfed: Site) -> None:
    async with DaemonProcess(unfed.config(rules={"paths": [unfed.rules()], "reload": False})) as daemon:
        unfed.rules(OTHER_RULES)
        daemon.signal(signal.SIGHUP)
        await eventually(lambda: len(daemon.lines("rules.activated")) == 2, "the new rules are taken")
        assert await daemon.stop() == 0


# -- the broker ---------------------------------------------------------------------------------------------------


async def test_a_broker_that_comes_later_is_waited_for(unfed: Site, own_broker: EmbeddedBroker) -> None:
    async with DaemonProcess(unfed.config()) as daemon:
        status, reasons = await eventually(lambda: _not_ready(daemon), "it is not ready")
        assert status == 503
        assert own_broker.bootstrap in reasons
        assert (await daemon.get("/livez")).status_code == 200
        fails(unfed, "resets")
        await own_broker.start()
        async with unfed.feeding():
            await eventually(lambda: is_ready(daemon), "it is ready")
            await eventually(lambda: unfed.clears == 1, "what failed meanwhile is dealt with")
        assert await daemon.stop() == 0


async def _not_ready(daemon: DaemonProcess) -> tuple[int, str] | None:
    status, reasons = await readiness(daemon)
    return (status, reasons) if status == 503 and "cannot connect" in reasons else None


@pytest.mark.slow
async def test_what_a_restarted_broker_lost_is_swept_for(unfed: Site, own_broker: EmbeddedBroker) -> None:
    """The embedded broker forgets everything when it ends: topic, records, positions."""
    await own_broker.start()
    policy = {**QUICK_POLICY, "sweep_every": "1h"}
    async with DaemonProcess(unfed.config(policy=policy)) as daemon:
        async with unfed.feeding():
            fails(unfed, "resets")
            await eventually(lambda: unfed.clears == 1, "it works")
            await eventually(lambda: reasons(daemon)["helped"], "and proves it")
        lost = len(daemon.lines("feed.lost"))
        await own_broker.stop()
        unfed.muted = True
        fails(unfed, "breaks")  # and nobody hears of it
        await eventually(lambda: len(daemon.lines("feed.lost")) > lost, "it says that the broker is gone")
        status, why = await readiness(daemon)
        assert status == 503
        assert why.startswith("feed main: ")
        await own_broker.start()
        unfed.muted = False
        async with unfed.feeding():
            await eventually(lambda: is_ready(daemon), "it is ready again")
            await eventually(lambda: unfed.pages_about("breaks.load"), "what was lost is found", seconds=75)
            assert unfed.clears == 1


# -- the scheduler ------------------------------------------------------------------------------------------------


async def test_an_unreachable_scheduler_is_asked_again_until_it_answers(place: Site) -> None:
    place.api.faults.add(Fault(Kind.STATUS, times=1_000_000))
    async with DaemonProcess(place.config()) as daemon:
        fails(place, "resets")
        fails(place, "breaks")
        await eventually(lambda: reasons(daemon)["unreachable"], "it says so")
        assert (place.pages, place.clears) == (0, 0)
        place.api.faults.clear()
        await eventually(lambda: place.clears == 1, "what passes is cleared")
        await eventually(lambda: place.pages == 1, "what stays is paged")
        assert place.state.duplicate_clears == 0
        [breaks] = [one for one in await daemon.incidents() if one["dag_id"] == "breaks"]
        assert "unverified" not in breaks["status"]


async def test_after_the_longest_wait_the_page_says_that_it_is_unverified(place: Site) -> None:
    place.api.faults.add(Fault(Kind.STATUS, times=1_000_000))
    async with DaemonProcess(place.config(policy={**QUICK_POLICY, "hold_max": "3s"})) as daemon:
        fails(place, "resets")
        await eventually(lambda: place.pages_about("resets.load") == 1, "a person is woken")
        assert place.clears == 0
        [incident] = [one for one in await daemon.incidents() if one["dag_id"] == "resets"]
        assert "unverified" in incident["status"]
        alerts = [event["payload"] for event in place.receiver.pagerduty.events if event["event_action"] == "trigger"]
        assert any("unverified" in str(alert) for alert in alerts), alerts


async def test_wrong_credentials_are_told_without_showing_them(place: Site) -> None:
    secret = "pass-word-that-nobody-may-see"
    config = place.config(policy={**QUICK_POLICY, "hold_max": "3s"})
    async with DaemonProcess(config, env={"AIRFLOW_PASSWORD": secret}) as daemon:
        fails(place, "breaks")
        fails(place, "resets")
        await eventually(lambda: place.pages == 2, "a person is woken, for nothing can be asked")
        [line] = [line for line in daemon.lines("decision") if line["reason"] == "unreachable"][:1]
        assert "401" in line["text"]
        assert secret not in daemon.text
        assert secret not in (await daemon.get("/api/v1/incidents")).text
        assert place.clears == 0
        assert await daemon.stop() == 0
    async with DaemonProcess(config) as daemon:
        fails(place, "resets", "r2")
        await eventually(lambda: place.clears, "with the right ones it works")


def reasons(daemon: DaemonProcess) -> Counter[str]:
    return Counter(line["reason"] for line in daemon.lines("decision"))


# -- the store ----------------------------------------------------------------------------------------------------


async def test_a_full_store_says_so_and_goes_on_when_it_has_room(place: Site) -> None:
    letters = 3_000
    small = {"url": f"sqlite:///{place.folder}/small.db", "max_page_count": 1_000}
    await place.produce((b"k%d" % number, b"{" + b"%06d" % number * 500) for number in range(letters))
    async with DaemonProcess(place.config(store=small)) as daemon:
        await eventually(lambda: daemon.lines("store.failed"), "the store is full")
        assert "full" in texts(daemon, "store.failed")[0]
        assert (await daemon.get("/livez")).status_code == 200
        answer = await daemon.get("/readyz")
        assert answer.status_code == 503
        assert "full" in answer.json()["reasons"][0]
        assert "remediator_store_failures_total{" in (await daemon.get("/metrics")).text
        assert await daemon.stop() == 0
    async with DaemonProcess(place.config(store={**small, "max_page_count": 100_000})) as daemon:
        await eventually(lambda: _dead_letters(daemon, letters), "every record is accounted for")
        assert not daemon.lines("store.failed")
        fails(place, "resets")
        await eventually(lambda: place.clears == 1, "and it works")


async def _dead_letters(daemon: DaemonProcess, expected: int) -> bool:
    found = (await daemon.status())["dead_letters"]
    assert found <= expected
    return bool(found == expected)
