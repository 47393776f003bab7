"""A source over a recording: NDJSON lines {"topic", "partition", "offset", "key", "timestamp_ms", "value"}.

Owns reading it once, in file order, from the stored positions. Its clock is the recording's own: the end of a file
proves nothing about what happened after its last record.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec

from remediator.model.record import Record
from remediator.model.time import Instant
from remediator.sources.opening import Opening, open_partition
from remediator.sources.port import PositionReader, SourceBatch

IDLE_SECONDS = 0.5
SHOWN_FAULTS = 20
Key = tuple[str, int]


class Line(msgspec.Struct):
    """One recorded record. key: text or null. value: text, null, or any JSON, which stands for its own text."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: str | None = None
    value: msgspec.Raw = msgspec.Raw(b"null")


class Extent(msgspec.Struct):
    """What the file holds of one partition: offsets first..last."""

    first: int
    last: int


class BadRecording(Exception):  # noqa: N818  (what the file is)
    """The file cannot be replayed; the text names the file and, line by line, found and allowed."""


class FileSource:
    """The source port over one file, finite. It always begins at the earliest record that is not yet stored."""

    def __init__(self, path: Path, positions: PositionReader, *, max_records: int = 500) -> None:
        self._path = path
        self._positions = positions
        self._max_records = max_records
        self._extents: dict[Key, Extent] = {}
        self._last_time: Instant = 0
        self._reading: dict[Key, int] = {}
        self._lines: Iterator[Line] | None = None
        self._file: BinaryIO | None = None
        self._exhausted = False
        self._told = False

    @property
    def exhausted(self) -> bool:
        """Has the last record been handed over?"""
        return self._exhausted

    def healthy(self) -> bool:
        return True

    async def start(self) -> None:
        """Check the whole file. Raises BadRecording with every fault, OSError if it cannot be read."""
        self._extents, self._last_time = await asyncio.to_thread(_scan, self._path)
        self._rewind()

    async def stop(self) -> None:
        """Close the file. Idempotent."""
        self._lines = None
        if self._file is not None:
            self._file.close()
            self._file = None

    async def reseek(self, topic: str, partition: int) -> None:
        """Begin the file again; what is stored by then is passed over."""
        self._rewind()

    async def poll(self) -> list[SourceBatch]:
        """Openings first, then records in file order, then that every partition is at its end."""
        if self._file is None:
            return []
        if not self._reading and self._extents:
            pins = self._open(await self._stored())
            if pins:
                return pins
        batches = [] if self._exhausted else self._next()
        if not batches:
            await asyncio.sleep(IDLE_SECONDS if self._told else 0)
            self._told, heads = True, not self._told
            return [self._batch(key, []) for key in sorted(self._reading)] if heads else []
        return batches

    def _rewind(self) -> None:
        if self._file is not None:
            self._file.close()
        self._file = self._path.open("rb")
        self._lines = (_decoder.decode(line) for line in self._file if line.strip())
        self._reading.clear()
        self._exhausted = self._told = False

    async def _stored(self) -> dict[Key, int]:
        topics = sorted({topic for topic, _ in self._extents})
        stored = {topic: await self._positions(topic) for topic in topics}
        return {(topic, number): at for topic in topics for number, at in stored[topic].items()}

    def _open(self, stored: dict[Key, int]) -> list[SourceBatch]:
        openings = {
            key: open_partition(stored.get(key), "earliest", extent.first, extent.last + 1)
            for key, extent in sorted(self._extents.items())
        }
        self._reading = {key: opening.position for key, opening in openings.items()}
        return [self._batch(key, [], opening) for key, opening in openings.items() if opening.pins]

    def _next(self) -> list[SourceBatch]:
        found: dict[Key, list[Record]] = {}
        for line in self._lines or ():
            key = (line.topic, line.partition)
            if line.offset < self._reading[key]:
                continue
            found.setdefault(key, []).append(_record(line))
            if sum(map(len, found.values())) >= self._max_records:
                break
        else:
            self._exhausted = True
        return [self._batch(key, records) for key, records in found.items()]

    def _batch(self, key: Key, records: list[Record], opening: Opening | None = None) -> SourceBatch:
        expected = opening.expected if opening else self._reading[key]
        next_offset = records[-1].offset + 1 if records else self._reading[key]
        self._reading[key] = next_offset
        return SourceBatch(
            topic=key[0],
            partition=key[1],
            partitions=1 + max(number for topic, number in self._extents if topic == key[0]),
            records=records,
            expected=expected,
            next_offset=next_offset,
            at_head=next_offset > self._extents[key].last,
            polled_at=self._last_time,
            lost=opening.lost if opening else None,
        )


_decoder = msgspec.json.Decoder(Line)


def _record(line: Line) -> Record:
    key = None if line.key is None else line.key.encode()
    return Record(line.topic, line.partition, line.offset, line.timestamp_ms * 1000, key, _value(line.value))


def _value(raw: msgspec.Raw) -> bytes | None:
    body = bytes(raw)
    if body == b"null":
        return None
    return msgspec.json.decode(body, type=str).encode() if body.startswith(b'"') else body


def _scan(path: Path) -> tuple[dict[Key, Extent], Instant]:
    """The extents of every partition and the latest time. Raises BadRecording."""
    extents: dict[Key, Extent] = {}
    faults: list[str] = []
    latest = 0
    with path.open("rb") as file:
        for number, text in enumerate(file, 1):
            if not text.strip():
                continue
            try:
                line = _decoder.decode(text)
                _value(line.value)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                faults.append(f"line {number}: {error}")
                continue
            latest = max(latest, line.timestamp_ms * 1000)
            if fault := _extend(extents, line):
                faults.append(f"line {number}: {fault}")
    if faults:
        shown = faults[:SHOWN_FAULTS]
        more = [f"and {len(faults) - len(shown)} more"] if len(faults) > len(shown) else []
        raise BadRecording("\n".join([f"{path} cannot be replayed:", *shown, *more]))
    return extents, latest


def _extend(extents: dict[Key, Extent], line: Line) -> str:
    """Take the line into its partition's extent; returns what is wrong with it, '' if nothing."""
    if line.offset < 0 or line.partition < 0:
        return f"partition {line.partition}, offset {line.offset}: allowed are numbers from 0 on"
    extent = extents.setdefault((line.topic, line.partition), Extent(line.offset, line.offset - 1))
    if line.offset <= extent.last:
        return f"offset {line.offset} after {extent.last} of {line.topic}[{line.partition}]: offsets must rise"
    extent.last = line.offset
    return ""
