"""Sessions with an Airflow 2, and with one whose version is still to be found out, behind the calls of API v2.

Owns what needs more than one call there. What a call becomes is said by `v1`, what its answer means by `v1_answers`.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import msgspec

from remediator.actions.airflow import v1, v1_answers
from remediator.actions.airflow.errors import Answered, Fault, Lost, NotSent, Unsayable
from remediator.actions.airflow.gate import Gate
from remediator.actions.airflow.rows import UNREADABLE
from remediator.actions.airflow.session import Answer, Call, Caller, Params, Session, gate_of
from remediator.actions.airflow.settings import NO_SECRET, AirflowSettings

NO_ROUTE = "not found"
"""What a server says, in small letters, that does not have the route: nothing about a row."""
FORBIDDEN = "forbidden"
"""All that it says, in small letters, to whom it does not know, and to whom it does not let."""


def open_session(settings: AirflowSettings) -> Caller:
    """The session for the deployment's API version."""
    gate = gate_of(settings)
    if settings.api_version == "auto":
        return AutoSession(settings, gate)
    return V1Session(settings, gate) if settings.api_version == "v1" else Session(settings, gate)


class V1Session:
    """Speaks API v1 to an Airflow 2. A clear leaves its note in calls of its own, afterwards: it may be missing."""

    def __init__(self, settings: AirflowSettings, gate: Gate | None = None) -> None:
        self._session = Session(settings, gate, basic=True)

    async def close(self) -> None:
        """Close the connections. Idempotent."""
        await self._session.close()

    async def read(self, method: str, path: str, *, params: Params = (), body: Any = None) -> Answer:
        """A call that changes nothing. Raises Fault."""
        call = Call(method, path, params, body)
        return _answer(call, await self._read(_said(call)))

    async def tail(self, path: str, *, params: Params, accept: str, keep: int) -> Answer:
        """The last `keep` bytes of a long answer, plain text. Raises Fault."""
        call = _said(Call("GET", path, params, None, accept, keep))
        try:
            return await self._session.tail(call.path, params=call.params, accept=call.accept, keep=keep)
        except Answered as fault:
            raise _of_v1(fault) from None

    async def write(
        self, method: str, path: str, *, params: Params = (), body: Any = None, begin_by: float | None = None
    ) -> Answer:
        """A call that changes something. Raises Fault."""
        call = Call(method, path, params, body)
        said, first = _said(call), v1.dry_run_of(call)
        if first is not None and _goes_too_far(call, (await self._read(first)).body):
            raise Unsayable("API v1 clears every failed index of a mapped task, and more failed than these")
        answer = await self._write(said, begin_by)
        for note in v1.notes(call, _touched(answer.body)):
            with suppress(Fault):
                await self._write(note)
        return _answer(call, answer)

    async def _read(self, call: Call) -> Answer:
        try:
            return await self._session.read(call.method, call.path, params=call.params, body=call.body)
        except Answered as fault:
            raise _of_v1(fault) from None

    async def _write(self, call: Call, begin_by: float | None = None) -> Answer:
        try:
            return await self._session.write(
                call.method, call.path, params=call.params, body=call.body, begin_by=begin_by
            )
        except Answered as fault:
            raise _of_v1(fault) from None


class AutoSession:
    """Finds out at the first call which version answers, and again after that version's routes are gone."""

    def __init__(self, settings: AirflowSettings, gate: Gate) -> None:
        self._settings = settings
        self._gate = gate
        self._finding = asyncio.Lock()
        self._found: Caller | None = None

    async def close(self) -> None:
        """Close the connections. Idempotent."""
        if self._found is not None:
            await self._found.close()

    async def read(self, method: str, path: str, *, params: Params = (), body: Any = None) -> Answer:
        """A call that changes nothing. Raises Fault."""
        caller = await self._caller()
        try:
            return await caller.read(method, path, params=params, body=body)
        except Answered as fault:
            await self._perhaps_gone(caller, fault)
            raise

    async def tail(self, path: str, *, params: Params, accept: str, keep: int) -> Answer:
        """The last `keep` bytes of a long answer. Raises Fault."""
        return await (await self._caller()).tail(path, params=params, accept=accept, keep=keep)

    async def write(
        self, method: str, path: str, *, params: Params = (), body: Any = None, begin_by: float | None = None
    ) -> Answer:
        """A call that changes something. Raises Fault; NotSent if it is not known yet to which version."""
        return await (await self._caller()).write(method, path, params=params, body=body, begin_by=begin_by)

    async def _caller(self) -> Caller:
        async with self._finding:
            if self._found is None:
                self._found = await self._find()
            return self._found

    async def _find(self) -> Caller:
        # Both versions tell theirs to anybody; what stands before a hosted Airflow wants the token for it.
        stranger = msgspec.structs.replace(self._settings, username="", password=NO_SECRET)
        probe = Session(stranger, self._gate)
        try:
            newer = await _refusal(probe, f"{v1.V2}/version")
            if newer is None:
                return Session(self._settings, self._gate)
            older = await _refusal(probe, f"{v1.V1}/version")
            if older is None:
                return V1Session(self._settings, self._gate)
        finally:
            await probe.close()
        raise NotSent(f"neither API v2 ({newer}) nor API v1 ({older}) answers here")

    async def _perhaps_gone(self, caller: Caller, fault: Answered) -> None:
        """Whoever upgrades Airflow takes the routes of the older version away."""
        if fault.status == 404 and fault.text.lower() == NO_ROUTE and self._found is caller:
            self._found = None
            await caller.close()


async def _refusal(probe: Session, path: str) -> Answered | None:
    """None if the path is answered with a version. Raises NotSent if that cannot be told now."""
    try:
        answer = await probe.read("GET", path)
        msgspec.json.decode(answer.body, type=_Version)
    except UNREADABLE:
        return Answered(404, "not Airflow's version")
    except Answered as fault:
        if fault.status >= 500 or fault.status == 429:
            raise NotSent(f"the version of its API is not known: {fault}") from None
        return fault
    except Lost as fault:
        raise NotSent(f"the version of its API is not known: {fault}") from None
    return None


class _Version(msgspec.Struct):
    version: str


def _said(call: Call) -> Call:
    try:
        return v1.translated(call)
    except v1.CannotSay as fault:
        raise Unsayable(str(fault)) from None


def _answer(call: Call, answer: Answer) -> Answer:
    try:
        return msgspec.structs.replace(answer, body=v1_answers.as_v2(call, answer.body))
    except v1_answers.NO_JSON:
        raise Lost("the answer is not what API v1 says: no JSON") from None


def _touched(answer: bytes) -> list[str]:
    """None if the answer does not tell: the notes that need it are left out then."""
    try:
        return v1_answers.cleared_tasks(answer)
    except v1_answers.NO_JSON:
        return []


def _goes_too_far(call: Call, answer: bytes) -> bool:
    try:
        return v1_answers.goes_too_far(call, answer)
    except v1_answers.NO_JSON:
        raise NotSent("the answer to a dry run is not what API v1 says: no JSON") from None


def _of_v1(fault: Answered) -> Answered:
    """A missing route is told in words that a missing row has too, wrong credentials in those of a lack of rights."""
    said = fault.text.lower()
    if fault.status == 404 and "requested url" in said:
        return Answered(404, "Not Found", fault.retry_after_s)
    if fault.status == 403 and said == FORBIDDEN:
        return Answered(403, f"{fault.text}; Airflow 2 says so of wrong credentials too", fault.retry_after_s)
    if fault.text.startswith(v1_answers.UNLIMITED):
        return Unsayable("API v1 cannot tell of a pool without a limit: give it one")
    return fault
