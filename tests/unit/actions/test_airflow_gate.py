"""Rates before an API: how many calls at once, how many a second, and how long one waits for its turn."""

from __future__ import annotations

import asyncio

import pytest

from remediator.actions.airflow.errors import NotSent
from remediator.actions.airflow.gate import Gate, Pace
from remediator.actions.airflow.session import Session
from remediator.actions.airflow.session_v1 import V1Session
from remediator.actions.airflow.settings import AirflowSettings
from remediator.model.secret import Secret


class TestPace:
    def test_a_second_worth_at_once_and_then_evenly(self) -> None:
        pace, starts = Pace(4), []
        now = 100.0
        for _ in range(12):
            now += pace.wait(now)
            pace.spend(now)
            starts.append(now)
        assert starts[:4] == [100.0] * 4
        assert starts[4:] == pytest.approx([100.25 + 0.25 * number for number in range(8)])

    def test_in_no_second_more_than_twice_the_rate(self) -> None:
        pace, starts, now = Pace(10), [], 0.0
        for step in range(500):
            now = max(now, step * 0.037)
            now += pace.wait(now)
            pace.spend(now)
            starts.append(now)
        assert max(sum(one <= other < one + 1 for other in starts) for one in starts) <= 20
        assert len(starts) / starts[-1] <= 11

    def test_rest_gives_no_more_than_a_second_worth(self) -> None:
        pace = Pace(2)
        pace.spend(0.0)
        free = 0
        while pace.wait(1000.0) == 0:
            pace.spend(1000.0)
            free += 1
        assert free == 2

    def test_less_than_one_a_second(self) -> None:
        pace = Pace(0.5)
        assert pace.wait(10.0) == 0
        pace.spend(10.0)
        assert pace.wait(10.5) == 1.5

    def test_no_limit(self) -> None:
        pace = Pace(0)
        for _ in range(1000):
            pace.spend(1.0)
        assert pace.wait(1.0) == 0


class TestGate:
    async def test_so_many_at_once(self) -> None:
        gate, inside, most = Gate(3, 0, 5), 0, 0

        async def call() -> None:
            nonlocal inside, most
            async with gate.turn():
                inside += 1
                most = max(most, inside)
                await asyncio.sleep(0)
                inside -= 1

        await asyncio.gather(*(call() for _ in range(20)))
        assert most == 3

    async def test_nobody_waits_for_ever_for_a_slot(self) -> None:
        gate, leave = Gate(1, 0, 0.05), asyncio.Event()

        async def hold() -> None:
            async with gate.turn():
                await leave.wait()

        holder = asyncio.create_task(hold())
        with pytest.raises(NotSent, match="too many calls are under way"):
            await asyncio.gather(*(hold() for _ in range(3)))
        leave.set()
        await holder

    async def test_nor_for_the_rate_and_a_slot_is_given_back(self) -> None:
        gate = Gate(1, 0.001, 0.05)
        async with gate.turn():
            pass
        for _ in range(3):
            with pytest.raises(NotSent, match="the rate leaves no room"):
                async with gate.turn():
                    pass

    async def test_a_further_request_is_paid_by_those_that_come_after(self) -> None:
        gate = Gate(1, 0.001, 0.05)
        gate.another()
        with pytest.raises(NotSent, match="the rate leaves no room"):
            async with gate.turn():
                pass


@pytest.mark.parametrize("kind", [Session, V1Session])
async def test_a_change_that_waited_too_long_for_its_turn_is_not_sent(kind: type[Session | V1Session]) -> None:
    gate = Gate(1, 0, 5)
    session = kind(AirflowSettings(deployment="prod", base_url="http://127.0.0.1:9", token=Secret("t")), gate)
    async with gate.turn():
        begin_by = asyncio.get_running_loop().time()
        waiting = asyncio.create_task(
            session.write("PATCH", "/api/v2/dags/sales", body={"is_paused": True}, begin_by=begin_by)
        )
        await asyncio.sleep(0)
    with pytest.raises(NotSent, match="waited too long"):
        await waiting
    await session.close()
