"""Runs a whole scenario in this process: one stand-in server and one virtual scheduler for each deployment."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from remediator.demo.fleet.app import FleetApi
from remediator.demo.fleet.scenario import Scenario, fleet
from remediator.demo.fleet.server import serving
from remediator.demo.fleet.state import FleetState
from remediator.demo.fleet.world import World
from remediator.model.time import Instant

STEP_S = 0.02
KEPT_RUNS = 2_000
"""Dagruns that one stand-in remembers: hours of a demo, and a bound on its memory."""

EmitFrom = Callable[[str, bytes, bytes], None]
"""(deployment, record key, record value)"""


@dataclass(frozen=True, slots=True)
class Running:
    """One deployment that answers at `url`."""

    name: str
    url: str
    api: FleetApi
    world: World


@contextlib.asynccontextmanager
async def running(
    scenario: Scenario, clock: Callable[[], Instant], emit: EmitFrom
) -> AsyncIterator[dict[str, Running]]:
    """Yields deployment name -> Running, with the scenario under way; stops everything on leaving."""
    async with contextlib.AsyncExitStack() as stack:
        started: dict[str, Running] = {}
        for deployment in fleet():
            world = _world(scenario, deployment.name, deployment.namespace, emit)
            api = FleetApi(world.state, clock)
            url = await stack.enter_async_context(serving(api))
            started[deployment.name] = Running(deployment.name, url, api, world)
        await stack.enter_async_context(driving([each.world for each in started.values()], clock))
        yield started


@contextlib.asynccontextmanager
async def driving(worlds: list[World], clock: Callable[[], Instant]) -> AsyncIterator[None]:
    """Moves the worlds along with the clock until left. A fault in one of them is raised on leaving."""
    task = asyncio.create_task(_drive(worlds, clock))
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _drive(worlds: list[World], clock: Callable[[], Instant]) -> None:
    while True:
        for world in worlds:
            world.advance(clock())
            world.state.prune(KEPT_RUNS)
        await asyncio.sleep(STEP_S)


def _world(scenario: Scenario, name: str, namespace: str, emit: EmitFrom) -> World:
    world = World(FleetState(namespace), scenario.plan_for(name), lambda key, value: emit(name, key, value))
    scenario.play(world, name)
    return world
