"""Journal chunks: how inputs are cut into rows, rows become entries, and what a cancel journals. Does no I/O."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from remediator.model.action import Action
from remediator.model.inputs import Entry, Input, Performed, decode_inputs, encode_inputs
from remediator.model.outcome import Refused
from remediator.model.time import Instant

CHUNK_INPUTS = 500
"""Inputs in one journal row at most: bounds what a reader gets beyond its limit."""


class Chunk(msgspec.Struct, frozen=True):
    """One journal row: the inputs at positions first .. first + count - 1."""

    first: int
    count: int
    at: Instant
    body: bytes

    @property
    def last(self) -> int:
        return self.first + self.count - 1


def encode_chunks(inputs: Sequence[Input]) -> list[tuple[int, bytes]]:
    """Inputs -> (count, body) of each row, in order."""
    parts = [inputs[start : start + CHUNK_INPUTS] for start in range(0, len(inputs), CHUNK_INPUTS)]
    return [(len(part), encode_inputs(part)) for part in parts]


def place_chunks(head: int, parts: Iterable[tuple[int, bytes]], at: Instant) -> list[Chunk]:
    """Rows for the positions right after `head`."""
    chunks: list[Chunk] = []
    for count, body in parts:
        chunks.append(Chunk(first=head + 1, count=count, at=at, body=body))
        head += count
    return chunks


def entries_after(chunks: Iterable[Chunk], after: int) -> list[Entry]:
    """The entries of the rows with position > after. Raises msgspec.DecodeError on a damaged body."""
    return [
        Entry(position=position, at=chunk.at, input=one)
        for chunk in chunks
        for position, one in enumerate(decode_inputs(chunk.body), start=chunk.first)
        if position > after
    ]


def refusal(action: Action, reason: str) -> Performed:
    """What the journal says of an action that was cancelled before anybody had begun with it."""
    return Performed(action_id=action.id, key=action.key, kind=action.kind, outcome=Refused(reason=reason))
