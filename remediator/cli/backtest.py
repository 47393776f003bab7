"""`remediator backtest`: what rules would have done over recorded events. Performs nothing."""

from __future__ import annotations

import asyncio
import tempfile
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from remediator.backtest.answers import Assume
from remediator.backtest.compare import difference
from remediator.backtest.files import read_lines
from remediator.backtest.policy import load_open
from remediator.backtest.reading import Decode, LineReader, decoding
from remediator.backtest.report import ACTIONS, FIRINGS, Outcome
from remediator.backtest.revision import NoRevision, rules_of_revision
from remediator.backtest.run import decide, rare_collections
from remediator.backtest.spool import Spool
from remediator.backtest.survey import Assign, Survey
from remediator.cli.backtest_text import Bars, Limit, Result, human
from remediator.cli.backtest_text import as_json as object_of
from remediator.cli.config import print_faults
from remediator.cli.daemon import JsonOption
from remediator.cli.output import FINDINGS, fail, safe, say, say_json
from remediator.codecs.deployments import DeploymentMap
from remediator.codecs.registry import CODECS
from remediator.config.load import load_config
from remediator.config.settings import Config, Feed
from remediator.model.time import Instant, parse_duration, parse_instant
from remediator.rules.faults import Faults
from remediator.rules.index import RuleSet
from remediator.rules.load import load_rules, rule_files
from remediator.rules.spec import RuleSetSpec

KAFKA = "kafka"
MOST = 1_000_000

RulesOption = Annotated[Path, typer.Option("--rules", help="The rules: a file or a folder.")]
EventsOption = Annotated[
    str, typer.Option("--events", help="A file of recorded records or of events, one a line (.gz too), or 'kafka'.")
]
SinceOption = Annotated[
    str, typer.Option("--since", help="Leave out what is older: '24h' before now, or '2026-11-22T06:00:00Z'.")
]
AgainstOption = Annotated[
    str, typer.Option("--against", help="Other rules to compare with: a path, or a git revision of --rules.")
]
ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="Deployments, ceilings and policy. Without it every namespace found is a "
                 "deployment that may be changed."),
]  # fmt: skip
FeedOption = Annotated[str, typer.Option("--feed", help="The feed of the configuration that is meant.")]
AssumeOption = Annotated[Assume, typer.Option("--assume", help="What becomes of retries.")]
AsIfActOption = Annotated[
    bool, typer.Option("--as-if-act", help="Judge rules and deployments that do not act yet as if they did.")
]
MostOption = Annotated[int, typer.Option("--max-records", min=1, help="With kafka: read at most so many.")]
LimitOption = Annotated[int | None, typer.Option(min=0, help="Exit code 1 if there are more.")]


def _exceeded(*limits: tuple[str, int | None, int]) -> list[Limit]:
    return [Limit(name, most, found) for name, most, found in limits if most is not None and found > most]


def backtest(
    rules: RulesOption,
    events: EventsOption,
    config: ConfigOption = None,
    feed: FeedOption = "",
    since: SinceOption = "",
    against: AgainstOption = "",
    assume: AssumeOption = Assume.HELPED,
    as_if_act: AsIfActOption = False,
    max_records: MostOption = MOST,
    max_pages: LimitOption = None,
    max_actions: LimitOption = None,
    max_firings: LimitOption = None,
    max_dead_letters: LimitOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run recorded events through the engine in virtual time: what the rules would have done. Performs nothing.

    Exit code 0: fine. 1: a limit is exceeded, or rules have faults. 2: it could not be done.
    """
    bars, begin = Bars(silent=as_json), _since(since)
    settings = _settings(config, secrets=events == KAFKA)
    found_feed = _feed(settings, feed, needed=events == KAFKA)
    spec = _rules(rules, settings, as_json=as_json)
    other = _other_rules(against, rules, settings, as_json=as_json) if against else None
    with Spool() as spool:
        survey = Survey(_wanted(spec, other), _assign(settings), spool, begin)
        if events == KAFKA:
            left_unread = _read_topics(found_feed, survey, _decode(settings, found_feed), max_records, bars)
        else:
            left_unread = _read_file(Path(events), survey, _decode(settings, found_feed), bars)
        if not survey.counts.records:
            fail(f"no record in {safe(events)}" + (f" since {since}" if since else ""))
        deciding = Deciding(survey, bars, is_open=settings is None, as_if_act=as_if_act, assume=assume)
        outcome = deciding.outcome(spec, str(rules))
        changes = difference(deciding.outcome(other, against), outcome) if other is not None else None
    exceeded = _exceeded(
        ("pages", max_pages, outcome.count("paged")),
        ("actions", max_actions, outcome.count(*ACTIONS)),
        ("firings", max_firings, outcome.count(*FIRINGS)),
        ("dead letters", max_dead_letters, survey.counts.dead_letters),
    )
    result = Result(survey.counts, outcome, assume.value, left_unread, exceeded, against, changes)
    if as_json:
        say_json(object_of(result))
    else:
        for line in human(result):
            say(line)
    if exceeded:
        raise typer.Exit(FINDINGS)


class Deciding:
    """One record under several rule sets, under the same assumptions."""

    def __init__(self, survey: Survey, bars: Bars, *, is_open: bool, as_if_act: bool, assume: Assume) -> None:
        self._survey = survey
        self._bars = bars
        self._is_open = is_open
        self._as_if_act = as_if_act
        self._assume = assume

    def outcome(self, spec: RuleSetSpec, name: str) -> Outcome:
        """What these rules do over it."""
        with self._bars.bar(f"deciding by {safe(name)}", self._survey.spool.length) as progress:
            return decide(
                spec,
                self._survey,
                is_open=self._is_open,
                as_if_act=self._as_if_act,
                assume=self._assume,
                progress=lambda count: progress.advance(progress.task_ids[0], count),
            )


# -- what was asked for -------------------------------------------------------------------------------------------


def _since(text: str) -> Instant:
    """Text of an instant, or of a duration before now. 0 for none."""
    if not text:
        return 0
    try:
        return time.time_ns() // 1_000 - parse_duration(text)
    except ValueError:
        pass
    try:
        return max(parse_instant(text), 0)
    except (ValueError, OverflowError):
        fail(f"--since {text!r}: neither a duration such as '24h' nor an instant such as '2026-11-22T06:00:00Z'")


def _settings(config: Path | None, *, secrets: bool) -> Config | None:
    if config is None:
        return None
    try:
        return load_config(config, resolve_secrets=secrets)
    except Faults as faults:
        fail(str(faults))


def _feed(settings: Config | None, name: str, *, needed: bool) -> Feed | None:
    """The feed of that name, or the only one; None if that is not needed."""
    if settings is None:
        if needed or name:
            fail("topics and feeds are in the configuration: give --config")
        return None
    known = [one.name for one in settings.feeds]
    if name and name not in known:
        fail(f"--feed {name!r}: the configuration has {', '.join(known)}")
    if not name and len(known) > 1:
        if needed:
            fail(f"--feed: which one of {', '.join(known)}?")
        return None
    return next(one for one in settings.feeds if name in ("", one.name))


def _decode(settings: Config | None, feed: Feed | None) -> Decode:
    if settings is None or feed is None:
        return decoding(CODECS["auto"]())
    from remediator.runtime.wiring import make_intake  # only here: the other commands start without it

    return make_intake(settings, feed).decode


def _assign(settings: Config | None) -> Assign | None:
    if settings is None:
        return None
    deployments = DeploymentMap(settings.bindings())
    return lambda event, topic: deployments.assign(event, topic)[0]


# -- rules --------------------------------------------------------------------------------------------------------


def _rules(path: Path, settings: Config | None, *, as_json: bool) -> RuleSetSpec:
    """The rules of a path. Ends the command with exit code 1 if they have faults."""
    if not path.exists():
        fail(f"{path}: no such file or folder")
    if not rule_files([path]):
        fail(f"{path}: no rule file there; rules are *.toml that do not end in .test.toml")
    try:
        spec = load_open([path]) if settings is None else load_rules([path], settings.policy())
        RuleSet(spec)
    except Faults as faults:
        print_faults(faults, as_json=as_json)
        raise typer.Exit(FINDINGS) from None
    return spec


def _other_rules(against: str, rules: Path, settings: Config | None, *, as_json: bool) -> RuleSetSpec:
    """The rules of another path, or of the same path in a git revision."""
    if Path(against).exists():
        return _rules(Path(against), settings, as_json=as_json)
    with tempfile.TemporaryDirectory(prefix="remediator-backtest-") as folder:
        try:
            path = rules_of_revision(rules, against, Path(folder))
        except NoRevision as error:
            fail(f"--against: {safe(error)}")
        return _rules(path, settings, as_json=as_json)


def _wanted(*specs: RuleSetSpec | None) -> Callable[[str], bool]:
    rule_sets = [RuleSet(spec) for spec in specs if spec is not None]
    return lambda event_type: any(rules.wants(event_type) for rules in rule_sets)


# -- records ------------------------------------------------------------------------------------------------------


def _read_file(path: Path, survey: Survey, decode: Decode, bars: Bars) -> bool:
    reader = LineReader(decode)
    try:
        with bars.bar(f"reading {path.name}", path.stat().st_size) as progress, rare_collections():
            for number, line in read_lines(path, lambda at: progress.update(progress.task_ids[0], completed=at)):
                survey.take(reader.line(line), number)
    except (OSError, EOFError, zlib.error) as error:
        fail(f"{path}: {safe(getattr(error, 'strerror', None) or error)}")
    survey.finish()
    return False


def _read_topics(feed: Feed | None, survey: Survey, decode: Decode, most: int, bars: Bars) -> bool:
    from remediator.backtest.topics import Unreadable, read_topics  # only here, as above
    from remediator.runtime.wiring import kafka_settings

    assert feed is not None  # noqa: S101  (asked for as needed)
    reader = LineReader(decode)
    try:
        with bars.bar(f"reading feed {feed.name}", most) as progress:
            left_unread = asyncio.run(
                read_topics(
                    kafka_settings(feed),
                    survey.since,
                    most,
                    lambda record: survey.take(reader.record(record), record),
                    lambda done, total: progress.update(progress.task_ids[0], completed=done, total=total),
                )
            )
    except (Unreadable, ValueError) as error:
        fail(f"feed {feed.name}: {safe(error)}")
    survey.finish()
    return left_unread
