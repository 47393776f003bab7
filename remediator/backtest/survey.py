"""The first pass over a record: what it holds, the history for looks, and the spool of what is decided on.

Owns virtual time (it never goes back) and the counts of what was read. Knows rules only by the types they want.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from remediator.backtest.history import History
from remediator.backtest.reading import Read
from remediator.backtest.spool import Seen, Spool
from remediator.model.event import TERMINAL, Event
from remediator.model.record import Record
from remediator.model.time import MINUTE, Duration, Instant

MAX_LETTERS = 20
MAX_DEPLOYMENTS = 1_000
MAX_HOSTS = 100
DISORDER: Duration = MINUTE
"""Records that come this much later than newer ones are not in the order in which they were received."""

Assign = Callable[[Event, str], str]
"""(event, topic) -> deployment, '' if it is nobody's."""


class Letter(msgspec.Struct, frozen=True):
    """A record that could not be read. place: 'line 7' or 'topic[2] offset 311'."""

    place: str
    reason: str


class Counts(msgspec.Struct):
    """What was read. unmapped: events of namespaces that no deployment, or more than one, claims.

    begin, end: virtual time of the first and the last record. disordered: records older than others before them.
    """

    records: int = 0
    events: int = 0
    dead_letters: int = 0
    skipped: int = 0
    disordered: int = 0
    furthest_back: Duration = 0
    begin: Instant = 0
    end: Instant = 0
    letters: list[Letter] = []
    unmapped: dict[str, int] = {}


class Survey:
    """Give it every record with `take`, then use its parts.

    wants: is the type of interest to any rule set? assign: names the deployment; None: each namespace is one.
    since: earlier records are passed over.
    """

    def __init__(self, wants: Callable[[str], bool], assign: Assign | None, spool: Spool, since: Instant = 0) -> None:
        self.counts = Counts()
        self.history = History()
        self.spool = spool
        self.hosts: dict[str, set[str]] = {}
        """Deployment -> hosts of its log links."""
        self.airflows: set[str] = set()
        """Deployments of which any event names a DAG; others are where they run."""
        self._wants = wants
        self._assign = assign or self._by_namespace
        self.since = since
        self._kept: dict[str, bool] = {}

    def take(self, read: Read, place: int | Record) -> None:
        """One record. place: the number of its line, or itself."""
        counts = self.counts
        at = read.at or counts.end
        if at < self.since:
            counts.skipped += 1
            return
        counts.records += 1
        if at >= counts.end:
            counts.end = at
            counts.begin = counts.begin or at
        elif counts.end - at > DISORDER:
            counts.disordered += 1
            counts.furthest_back = max(counts.furthest_back, counts.end - at)
        if read.reason:
            self._keep_letter(place, read.reason)
        elif read.events:
            self._take_events(read)

    def finish(self) -> None:
        """The record is over."""
        self.history.last = self.counts.end

    def _keep_letter(self, place: int | Record, reason: str) -> None:
        self.counts.dead_letters += 1
        if len(self.counts.letters) < MAX_LETTERS:
            text = (
                f"line {place}" if isinstance(place, int) else f"{place.topic}[{place.partition}] offset {place.offset}"
            )
            self.counts.letters.append(Letter(text, reason))

    def _take_events(self, read: Read) -> None:
        now, kept, assign = self.counts.end, dict[str, list[Event]](), self._assign
        self.counts.events += len(read.events)
        for event in read.events:
            deployment = assign(event, read.topic)
            if not deployment:
                self._note_unmapped(event.namespace)
                continue
            if deployment not in self.hosts:
                self.hosts[deployment] = set()
            if event.dag_id is not None and deployment not in self.airflows:
                self.airflows.add(deployment)
            self.history.add(deployment, event, now)
            if event.log_url:
                self._note_host(deployment, event.log_url)
            if self._is_kept(event.type) or event.condition is not None:
                kept.setdefault(deployment, []).append(event)
        for deployment, events in kept.items():
            self.spool.add(Seen(now, deployment, events))

    def _is_kept(self, event_type: str) -> bool:
        known = self._kept.get(event_type)
        if known is None:
            known = event_type in TERMINAL or self._wants(event_type)
            if len(self._kept) < MAX_DEPLOYMENTS:
                self._kept[event_type] = known
        return known

    def _note_unmapped(self, namespace: str) -> None:
        unmapped = self.counts.unmapped
        if namespace in unmapped or len(unmapped) < MAX_DEPLOYMENTS:
            unmapped[namespace] = unmapped.get(namespace, 0) + 1

    def _note_host(self, deployment: str, url: str) -> None:
        """As the engine takes the host out of a link."""
        host = url.split("://", 1)[-1].split("/", 1)[0].rsplit("@", 1)[-1].lower()
        hosts = self.hosts[deployment]
        if host not in hosts and len(hosts) < MAX_HOSTS:
            hosts.add(host)

    def _by_namespace(self, event: Event, topic: str) -> str:
        name = event.deployment or event.namespace or "unnamed"
        return name if name in self.hosts or len(self.hosts) < MAX_DEPLOYMENTS else ""
