"""[report]: its times, zone and route, and every fault of them at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from remediator.config.load import load_config
from remediator.model.policy import ReportTimes
from remediator.rules.faults import Faults

REST = """
[[feed]]
name = "main"
bootstrap_servers = ["localhost:9092"]
topics = ["events"]
[[receiver]]
name = "oncall"
kind = "pagerduty"
routing_key = { env = "KEY" }
[routes.night]
destinations = [{ kind = "pagerduty", receiver = "oncall" }]
[routes.team]
destinations = [{ kind = "log" }]
"""


def read(tmp_path: Path, section: str) -> ReportTimes | None:
    file = tmp_path / "config.toml"
    (tmp_path / "rules").mkdir(exist_ok=True)
    file.write_text(f"{section}\n{REST}")
    return load_config(file, {"KEY": "k"}).policy().report


def test_times_are_read(tmp_path: Path) -> None:
    found = read(tmp_path, '[report]\nat = ["08:00", "20:00"]\nzone = "Europe/Berlin"\nto = "team"')
    assert found == ReportTimes(("08:00", "20:00"), "Europe/Berlin", "team")
    assert read(tmp_path, "") is None


def test_every_fault_is_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(Faults) as faults:
        read(tmp_path, '[report]\nat = ["8:00", "25:00"]\nzone = "Europe/Berlni"\nto = "tema"\nwhen = 1')
    text = str(faults.value)
    wanted = (
        "config.toml:2: report at: found '8:00'",
        "found '25:00'",
        "config.toml:3: report zone",
        "'Europe/Berlin'",
        "config.toml:4: report to: found unknown route 'tema'",
        "unknown key when",
    )
    assert [line for line in wanted if line not in text.replace('"', "'")] == [], text


@pytest.mark.parametrize(("section", "said"), [
    ("[report]", "report: found no at"), ("[report]\nat = []", "an empty list"),
    ('[report]\nat = "08:00"\nto = "night"', "which only wakes people"),
])  # fmt: skip
def test_a_report_needs_a_time_and_a_reader(tmp_path: Path, section: str, said: str) -> None:
    with pytest.raises(Faults, match=said):
        read(tmp_path, section)
