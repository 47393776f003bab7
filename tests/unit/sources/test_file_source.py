"""Recordings: what may stand in a line, and every fault of a file at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from remediator.sources.file import BadRecording, FileSource
from tests.support.broker import Progress, step, step_until


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n")
    return path


def line(offset: int, value: str, partition: int = 0) -> str:
    return f'{{"topic":"t","partition":{partition},"offset":{offset},"timestamp_ms":{offset},"value":{value}}}'


async def test_values_may_be_text_null_or_json(tmp_path: Path) -> None:
    path = write(tmp_path / "r", line(3, '"a\\u00e9"'), "", line(5, "null"), line(9, '{"x": 1}'))
    progress = Progress()
    source = FileSource(path, progress.read)
    await source.start()
    await step_until(progress, lambda: source.exhausted, source)
    await source.stop()
    assert progress.values() == ["aé".encode(), None, b'{"x": 1}']
    assert progress.positions == {("t", 0): 10}
    assert progress.heads() == {("t", 0)}


async def test_all_faults_are_told_with_file_and_line(tmp_path: Path) -> None:
    path = write(tmp_path / "r", "{", line(3, "1"), line(3, "1"), '{"topic":"t"}', line(-1, "1", partition=1))
    with pytest.raises(BadRecording) as caught:
        await FileSource(path, Progress().read).start()
    text = str(caught.value)
    assert str(path) in text
    for number in (1, 3, 4, 5):
        assert f"line {number}:" in text
    assert "line 2" not in text


async def test_an_empty_recording_is_exhausted(tmp_path: Path) -> None:
    progress = Progress()
    source = FileSource(write(tmp_path / "r"), progress.read)
    await source.start()
    await step(source, progress)
    await source.stop()
    assert source.exhausted


async def test_a_second_replay_finds_nothing_new(tmp_path: Path) -> None:
    path = write(tmp_path / "r", *(line(number, "1") for number in range(4)))
    progress = Progress()
    for _ in range(2):
        source = FileSource(path, progress.read, max_records=3)
        await source.start()
        await step_until(progress, lambda: source.exhausted, source)  # noqa: B023
        await source.stop()
    assert len(progress.records) == 4
    assert not progress.refused
