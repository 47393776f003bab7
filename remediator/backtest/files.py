"""Recordings in files: lines one by one, of plain or gzipped files of any size."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, cast

GZIP_MAGIC = b"\x1f\x8b"
MAX_LINE = 64 * 1024 * 1024
"""A longer line is cut there: its pieces are no records, and come out as such."""

Line = tuple[int, bytes]
"""(number from 1, content without what ends it)."""


def read_lines(path: Path, progress: Callable[[int], None] = lambda position: None) -> Iterator[Line]:
    """The lines that hold anything. progress: told of the position in the file. Raises OSError, EOFError."""
    with path.open("rb") as raw:
        packed = raw.read(2) == GZIP_MAGIC
        raw.seek(0)
        stream = cast(BinaryIO, gzip.GzipFile(fileobj=raw)) if packed else raw
        number = 0
        while line := stream.readline(MAX_LINE):
            number += 1
            if number % 512 == 0:
                progress(raw.tell())
            line = line.strip()
            if line:
                yield number, line
        progress(raw.tell())
