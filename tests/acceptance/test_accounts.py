"""What people are asked for and told afterwards: proposals, the audit, the report, and what doctor says of it all."""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import closing
from typing import Any

import pytest

from remediator.demo.fleet.faults import Fault, Kind
from remediator.demo.receiver.faults import Fault as Answer
from tests.acceptance.harness import RETRY_RULE, DaemonProcess, Site, clock, command, eventually

pytestmark = [pytest.mark.broker, pytest.mark.subprocesses]

EVERYTHING = {
    "configuration", "rules", "store", "feed main", "feed main: lag", "feed main: records", "deployment prod",
    "deployment prod: clock", "deployment prod: reading", "deployment prod: clearing", "daemon", "notify default",
}  # fmt: skip
ASKING = RETRY_RULE.replace('mode = "act"', 'mode = "approve"')


async def _proposals(daemon: DaemonProcess, least: int = 1) -> list[dict[str, Any]]:
    code, out, error = await command("approvals", "list", "--json", "--config", str(daemon.config))
    assert (code, error) == (0, "")
    found = json.loads(out)
    assert len(found) >= least
    return found


async def _show(daemon: DaemonProcess, proposal: str) -> str:
    code, out, error = await command("approvals", "show", proposal, "--config", str(daemon.config))
    assert (code, error) == (0, "")
    return out


async def _shows(daemon: DaemonProcess, proposal: str, text: str) -> bool:
    return text in await _show(daemon, proposal)


async def _audit(daemon: DaemonProcess) -> list[dict[str, Any]]:
    code, out, error = await command("audit", "export", "--json", "--config", str(daemon.config))
    assert (code, error) == (0, "")
    return [json.loads(line) for line in out.splitlines()]


async def _resolved(daemon: DaemonProcess, count: int = 1) -> bool:
    found = [one for one in await daemon.incidents() if one["dag_id"] == "resets"]
    return len(found) >= count and all(one["phase"] == "resolved" for one in found)


async def _has_failed(daemon: DaemonProcess, text: str) -> bool:
    return any(text in line.get("text", "") for line in daemon.lines("decision"))


async def test_a_change_waits_for_a_person_and_everything_about_it_is_audited(place: Site) -> None:
    config = place.config(rules={"paths": [place.rules(ASKING)]})
    async with DaemonProcess(config) as daemon:
        place.world.run_dag("resets", "r1", clock())
        [proposal] = await eventually(lambda: _proposals(daemon), "it asks")
        assert (place.state.calls["clear"], place.clears) == (1, 0)  # one dry run
        assert proposal["previewed"] == "as things are, a yes clears 1 task instance of resets r1: load (failed)"
        assert proposal["affects"] == 1
        assert proposal["action"] == "airflow.retry"
        assert (proposal["deployment"], proposal["dag_id"], proposal["rule"]) == ("prod", "resets", "reset")
        code, out, _ = await command("approvals", "list", "--config", str(config))
        assert code == 0
        assert proposal["id"] in out

        place.api.faults.add(Fault(Kind.STATUS, route="clear", status=503, times=99, detail="restarting"))
        assert "would do    NOT KNOWN, nobody could tell: HTTP 503" in await _show(daemon, proposal["id"])
        place.api.faults.clear()
        shown = await _show(daemon, proposal["id"][:8])
        assert re.search(r"rule +reset \(\S+rules\.toml:2\), mode approve, step do 1: Run a task again", shown)
        assert "was told    as things are, a yes clears 1 task instance of resets r1: load (failed)" in shown
        assert "would do    clears 1 task instance of resets r1: load (failed)" in shown
        assert re.search(r"open until +20\S+Z, in \S+; then it counts as a no", shown)
        assert "then  " not in shown
        await command("freeze", "on", "--reason", "release", "--config", str(config))
        await eventually(lambda: _shows(daemon, proposal["id"], "then        put off by freeze"), "it is known")
        await command("freeze", "off", "--reason", "released", "--config", str(config))
        await eventually(lambda: _shows(daemon, proposal["id"], "touches     1 task instance\n\n"), "it is over")
        code, _, error = await command("approvals", "show", "0123456789ab", "--config", str(config))
        assert (code, "no proposal that waits" in error) == (1, True)
        assert place.clears == 0

        answer = ("approvals", "approve", proposal["id"], "--as", "ada", "--reason", "go", "--config", str(config))
        code, out, error = await command(*answer)
        assert (code, error) == (0, "")
        assert out == f"approved by ada (cli) (this machine, no token): proposal {proposal['id']}\n"
        await eventually(lambda: _resolved(daemon), "it is cleared and proven")
        code, out, _ = await command(*answer)
        assert code == 0
        assert out.startswith("approved already, at ")
        code, _, error = await command("approvals", "reject", proposal["id"], "--config", str(config))
        assert code == 1
        assert "was approved by ada (cli)" in error
        code, _, error = await command("approvals", "approve", "0123456789ab", "--config", str(config))
        assert (code, "no proposal that waits" in error) == (1, True)
        assert place.clears == 1

        entries = [link["entry"] for link in await _audit(daemon)]
        told = [(one["event"], one["what"]) for one in entries if one["what"] in ("airflow.retry", "approve", "rules")]
        assert told == [("activated", "rules"), ("command", "approve"), ("wanted", "airflow.retry"),
                        ("result", "airflow.retry")]  # fmt: skip
        activated, pressed, wanted, done = (
            next(one for one in entries if (one["event"], one["what"]) == which) for which in told
        )
        assert (pressed["proposal"], pressed["why"], pressed["incident"]) == (
            proposal["id"], "go", proposal["incident"],
        )  # fmt: skip
        assert wanted["actor"] == "rule reset"
        assert wanted["approved_by"] == pressed["actor"] == "ada (cli) (this machine, no token)"
        assert wanted["proposal"] == proposal["id"]
        assert wanted["rule_set"] == activated["rule_set"]
        assert wanted["subject"] == "resets/r1 load"
        assert wanted["params"]["run_id"] == "r1"
        assert wanted["position"] > 0
        assert (done["action_id"], done["result"]) == (wanted["action_id"], "delivered")
        assert {one["what"] for one in entries} & {"airflow.look", "airflow.sweep"} == set()


async def test_the_audit_is_whole_until_somebody_changes_it(place: Site) -> None:
    async with DaemonProcess(place.config()) as daemon:
        place.world.run_dag("resets", "r1", clock())
        await eventually(lambda: _resolved(daemon), "it is mended")
        await command("freeze", "on", "--as", "bob", "--reason", "release", "--config", str(daemon.config))
        code, out, _ = await command("audit", "verify", "--config", str(daemon.config))
        assert code == 0, out
        assert "the chain is whole" in out
        head = out.split("head ")[1].strip()
        lines = [json.dumps(link) for link in await _audit(daemon)]
        frozen = json.loads(lines[-1])["entry"]
        assert (frozen["actor"], frozen["what"], frozen["why"]) == (
            "bob (cli) (this machine, no token)",
            "freeze",
            "release",
        )
        code, out, _ = await command("audit", "export", "--since", "1h", "--config", str(daemon.config))
        assert code == 0
        assert "rule reset" in out
        export = place.folder / "audit.ndjson"
        export.write_text("\n".join(lines) + "\n")
        assert (await command("audit", "verify", "--file", str(export)))[0] == 0
        export.write_text("\n".join(lines[1:]) + "\n")
        code, out, _ = await command("audit", "verify", "--file", str(export))
        assert (code, f"{len(lines) - 1} entries checked, from entry 2: the chain is whole" in out) == (0, True)
        export.write_text("\n".join(lines).replace("release", "nothing") + "\n")
        code, out, _ = await command("audit", "verify", "--file", str(export))
        assert (code, "was changed" in out) == (1, True)
        assert await daemon.stop() == 0

    direct = ("audit", "verify", "--store-of", str(daemon.config), "--json")
    code, out, _ = await command(*direct, "--expect", head)
    assert (code, json.loads(out)["ok"]) == (0, True)
    with closing(sqlite3.connect(place.folder / "remediator.db")) as raw, raw:
        raw.execute("UPDATE audit SET body = replace(body, 'rule reset', 'rule other') WHERE seq = 2")
    code, out, _ = await command(*direct)
    assert code == 1
    assert json.loads(out)["faults"] == ["entry 2 was changed: its hash is not that of what it says"]


async def test_the_report_tells_the_night(place: Site) -> None:
    observing = RETRY_RULE.replace('mode = "act"', 'mode = "observe"').replace('"reset"', '"trial"')
    async with DaemonProcess(place.config(rules={"paths": [place.rules(RETRY_RULE + observing)]})) as daemon:
        for dag in ("resets", "breaks"):
            place.world.run_dag(dag, "r1", clock())
        await eventually(lambda: _resolved(daemon), "it is mended")
        await eventually(lambda: place.pages_about("breaks"), "the other is told")
        code, out, _ = await command("report", "--since", "1h", "--config", str(daemon.config), "--json")
        assert code == 0
        report = json.loads(out)
        counts = report["counts"]
        assert (counts["opened"], counts["healed"], counts["open"], counts["unclassified"]) == (2, 1, 1, 1)
        [rule] = [one for one in report["rules"] if one["rule"] == "reset"]
        assert (rule["answered"], rule["changes"], rule["helped"], rule["precision"]) == (1, 1, 1, 1.0)
        assert rule["ever"] == {"helped": 1, "in_vain": 0, "precision": 1.0}
        [trial] = report["observing"]
        assert (trial["rule"], trial["times"], trial["ends"], trial["ended_well"]) == ("trial", 1, {"healed": 1}, 1.0)
        assert report["pages"] == {"default": 1}
        assert "KeyError" in report["unclassified"][0]["template"] + report["unclassified"][0]["example"]["type"]
        code, out, _ = await command("report", "--config", str(daemon.config))
        assert code == 0
        assert "rules that only observe" in out
        code, _, error = await command("report", "--since", "yesterday", "--config", str(daemon.config))
        assert (code, "since must be a duration" in error) == (2, True)


async def _doctor(place: Site, *more: str, **sections: Any) -> tuple[int, dict[str, tuple[str, str]]]:
    code, out, error = await command("doctor", "--json", "--config", str(place.config(**sections)), *more)
    assert out, error
    return code, {one["name"]: (one["status"], one["text"]) for one in json.loads(out)["checks"]}


async def test_doctor_finds_everything_in_order(place: Site) -> None:
    http = place.settings()["http"]
    async with DaemonProcess(place.config(http=http)) as daemon:
        place.world.run_dag("works", "r1", clock())
        await daemon.settled(1)
        code, checks = await _doctor(place, "--notify", "default", http=http)
        assert code == 0, checks
        assert {status for status, _ in checks.values()} == {"ok"}, checks
        assert set(checks) >= EVERYTHING
        assert checks["feed main: lag"] == ("ok", "0 records behind")
        assert place.state.clears == 0


async def test_doctor_says_what_is_wrong_where(place: Site) -> None:
    place.world.run_dag("works", "r1", clock())
    await eventually(lambda: len(place.said) > 2, "there are events")
    place.api.faults.add(Fault(Kind.STATUS, route="clear", status=403, times=9, detail="Forbidden"))
    code, checks = await _doctor(place, deployment=[place.deployment(namespaces=["elsewhere"])])
    assert code == 1
    assert checks["deployment prod: clearing"][0] == "fail"
    assert checks["feed main: namespaces"][0] == "warn"
    assert place.state.namespace in checks["feed main: namespaces"][1]
    assert checks["store"][0] == checks["daemon"][0] == "warn"
    feed = {**place.settings()["feed"][0], "topics": ["not-there"]}
    api = {"url": "http://127.0.0.1:1", "username": "a", "password": {"env": "AIRFLOW_PASSWORD"}}
    code, checks = await _doctor(place, feed=[feed], deployment=[place.deployment(api=api)])
    assert code == 1
    assert checks["feed main"] == ("fail", "topics that do not exist or may not be read: not-there")
    assert "does not answer" in checks["deployment prod"][1]
    code, checks = await _doctor(place, store={"url": "sqlite:///relative.txt", "colour": "red"})
    assert (code, checks["configuration"][0]) == (1, "fail")


async def test_notify_test_says_what_arrived(place: Site) -> None:
    config = str(place.config())
    code, out, _ = await command("notify", "test", "--to", "default", "--config", config)
    assert code == 0, out
    assert out.count("delivered") == 2
    [alert] = place.receiver.pagerduty.alerts
    assert "TEST" in alert.summary
    place.receiver.faults.add("enqueue", Answer(status=400, error="invalid event"))
    code, out, _ = await command("notify", "test", "--to", "default", "--config", config, "--json")
    assert code == 1
    assert {one["kind"]: one["state"] for one in json.loads(out)["destinations"]} == {
        "pagerduty.page": "refused", "slack.message": "delivered",
    }  # fmt: skip
    code, _, error = await command("notify", "test", "--to", "nobody", "--config", config)
    assert (code, "there are: default" in error) == (2, True)
