"""A real Apache Kafka (one KRaft node) for the tests that the embedded broker cannot stand in for.

Owns its installation into a cache directory (through Maven, once) and its life. Must not be used where the embedded
broker does: it takes seconds to start.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from remediator.demo.broker import free_port

VERSION = "3.9.1"
SCALA = "2.13"
INSTALL_SECONDS = 600.0
FORMAT_SECONDS = 60.0
START_SECONDS = 60.0
STOP_SECONDS = 30.0
CLUSTER_ID = "cmVtZWRpYXRvci10ZXN0cw"

POM = f"""<project>
  <modelVersion>4.0.0</modelVersion>
  <groupId>remediator.tests</groupId><artifactId>kafka</artifactId><version>1</version>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId><artifactId>kafka_{SCALA}</artifactId><version>{VERSION}</version>
    </dependency>
  </dependencies>
</project>
"""


class KafkaUnavailable(Exception):  # noqa: N818  (why the tests are skipped)
    """No real Kafka can be had here; the text says what is missing."""


def cache_dir() -> Path:
    """Where the jars are kept between test runs, outside of the repository."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "remediator-tests" / f"kafka_{SCALA}-{VERSION}"


async def install() -> Path:
    """The directory with Kafka's jars; fetched by Maven unless it was before. Raises KafkaUnavailable."""
    missing = [tool for tool in ("java", "mvn") if shutil.which(tool) is None]
    if "java" in missing:
        raise KafkaUnavailable("java is not installed")
    target = cache_dir()
    if (target / "complete").exists():
        return target / "libs"
    if missing:
        raise KafkaUnavailable(f"{' and '.join(missing)} not installed, and Kafka is not in {target}")
    target.mkdir(parents=True, exist_ok=True)
    with (target / "lock").open("w") as lock:
        # Workers of one test run share the cache; the first of them installs.
        await asyncio.to_thread(fcntl.flock, lock, fcntl.LOCK_EX)
        if not (target / "complete").exists():
            await _fetch(target)
    return target / "libs"


async def _fetch(target: Path) -> None:
    (target / "pom.xml").write_text(POM)
    code, output = await _run(
        INSTALL_SECONDS, "mvn", "-q", "-B", "-f", str(target / "pom.xml"), "dependency:copy-dependencies",
        f"-DoutputDirectory={target / 'libs'}", "-DincludeScope=runtime",
    )  # fmt: skip
    if code != 0:
        raise KafkaUnavailable(f"Maven could not fetch Kafka {VERSION}: {output[-800:]}")
    (target / "complete").touch()


class ApacheKafka:
    """One node, broker and controller in one, that keeps its data in `home` over restarts."""

    def __init__(self, libs: Path, home: Path) -> None:
        self.port = free_port()
        self.home = home
        self._controller_port = free_port()
        self._classpath = f"{libs}/*"
        self._process: asyncio.subprocess.Process | None = None

    @property
    def bootstrap(self) -> str:
        return f"127.0.0.1:{self.port}"

    def log_dir(self, topic: str, partition: int) -> Path:
        """The directory of one partition's segment files."""
        return self.home / "data" / f"{topic}-{partition}"

    async def start(self) -> None:
        """Format the storage if it is new, start, wait until it answers. Raises KafkaUnavailable."""
        config = self.home / "server.properties"
        if not config.exists():
            self.home.mkdir(parents=True, exist_ok=True)
            config.write_text(self._properties())
            arguments = ("kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c", str(config))
            code, output = await _run(FORMAT_SECONDS, "java", "-cp", self._classpath, *arguments)
            if code != 0:
                raise KafkaUnavailable(f"Kafka's storage could not be formatted: {output[-800:]}")
        with (self.home / "kafka.log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                "java", "-Xmx384m", "-XX:TieredStopAtLevel=1", "-cp", self._classpath, "kafka.Kafka", str(config),
                stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=_die_with_parent(),
            )  # fmt: skip
        await self._wait_until_it_answers()

    async def stop(self) -> None:
        """Shut down in order, so that everything is on disk. Idempotent."""
        await self._end(signal.SIGTERM)

    async def kill(self) -> None:
        """End it without warning."""
        await self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Freeze the process: connections stay open, nothing answers."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)

    async def _end(self, number: signal.Signals) -> None:
        self._signal(number)
        process, self._process = self._process, None
        if process is None:
            return
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()

    async def _wait_until_it_answers(self) -> None:
        from aiokafka.admin import AIOKafkaAdminClient
        from aiokafka.errors import KafkaError

        try:
            async with asyncio.timeout(START_SECONDS):
                while True:
                    if self._process is None or self._process.returncode is not None:
                        raise KafkaUnavailable(f"Kafka ended while it was starting: {self._log_tail()}")
                    if not await _listens(self.port):
                        continue
                    admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap, request_timeout_ms=5_000)
                    try:
                        await admin.start()
                        await admin.list_topics()
                    except (KafkaError, OSError, TimeoutError):
                        continue
                    else:
                        return
                    finally:
                        await admin.close()
        except TimeoutError:
            await self.kill()
            raise KafkaUnavailable(f"Kafka did not answer within {START_SECONDS:g} s: {self._log_tail()}") from None

    def _log_tail(self) -> str:
        return (self.home / "kafka.log").read_text(errors="replace")[-800:]

    def _properties(self) -> str:
        settings = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@127.0.0.1:{self._controller_port}",
            "listeners": f"PLAINTEXT://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{self._controller_port}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{self.port}",
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "log.dirs": str(self.home / "data"),
            "num.partitions": "1",
            "offsets.topic.num.partitions": "1",
            "offsets.topic.replication.factor": "1",
            "transaction.state.log.num.partitions": "1",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "group.initial.rebalance.delay.ms": "0",
            # A source must never bring a topic into being by looking for it; the tests see it if it does.
            "auto.create.topics.enable": "true",
            "log.cleaner.backoff.ms": "200",
            "log.retention.check.interval.ms": "500",
            "log.initial.task.delay.ms": "0",
        }
        return "".join(f"{name}={value}\n" for name, value in settings.items())


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        await asyncio.sleep(0.05)
        return False
    writer.close()
    return True


async def _run(seconds: float, *command: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        async with asyncio.timeout(seconds):
            output, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise KafkaUnavailable(f"{command[0]} did not end within {seconds:g} s") from None
    return process.returncode or 0, output.decode(errors="replace")


def _die_with_parent() -> Callable[[], None] | None:
    if sys.platform != "linux":
        return None
    import ctypes

    libc = ctypes.CDLL(None)
    return lambda: libc.prctl(1, signal.SIGKILL)
