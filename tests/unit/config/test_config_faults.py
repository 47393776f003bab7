"""Bad configurations: every fault at once, word for word as in tests/golden/config (UPDATE_GOLDEN=1 rewrites)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from remediator.config.load import load_config
from remediator.rules.faults import Faults

GOLDEN = Path(__file__).parents[2] / "golden" / "config"
CASES = sorted(GOLDEN.glob("*.toml"))


def faults_of(path: Path, tmp_path: Path) -> str:
    """The faults of a copy that stands beside an empty folder of rules, as the user sees them."""
    (tmp_path / "rules").mkdir()
    copy = tmp_path / path.name
    copy.write_bytes(path.read_bytes())
    with pytest.raises(Faults) as caught:
        load_config(copy, {"GOLDEN_KEY": "R0UT1NG"})
    return str(caught.value).replace(str(tmp_path) + os.sep, "") + "\n"


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_faults_are_as_recorded(path: Path, tmp_path: Path) -> None:
    found = faults_of(path, tmp_path)
    golden = path.with_suffix(".txt")
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(found)
    assert found == golden.read_text()


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_no_fault_shows_a_secret(path: Path, tmp_path: Path) -> None:
    assert "hunter2" not in faults_of(path, tmp_path)


def test_there_are_enough_cases() -> None:
    assert len(CASES) >= 12


def test_a_missing_file_is_one_fault(tmp_path: Path) -> None:
    with pytest.raises(Faults, match="no such file or directory; allowed: a readable configuration file"):
        load_config(tmp_path / "nowhere.toml", {})
