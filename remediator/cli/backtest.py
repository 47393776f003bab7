"""`remediator backtest`: what rules would have done over recorded events. Performs nothing."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from remediator.backtest.answers import Assume
from remediator.backtest.compare import difference
from remediator.backtest.files import read_lines
from remediator.backtest.policy import load_open
from remediator.backtest.reading import LineReader, decoding
from remediator.backtest.report import ACTIONS, FIRINGS, Outcome
from remediator.backtest.revision import NoRevision, rules_of_revision
from remediator.backtest.run import decide
from remediator.backtest.spool import Spool
from remediator.backtest.survey import Assign, Survey
from remediator.backtest.topics import Unreadable, read_topics, settings_of
from remediator.cli.backtest_text import Bars, Limit, Result, human
from remediator.cli.backtest_text import as_json as object_of
from remediator.cli.config import print_faults
from remediator.cli.daemon import JsonOption
from remediator.cli.output import FINDINGS, fail, safe, say, say_json
from remediator.codecs.registry import CODECS
from remediator.config.load import load_config
from remediator.config.settings import Config, Feed
from remediator.model.event import Event
from remediator.model.record import Record
from remediator.model.time import Instant, parse_duration, parse_instant
from remediator.rules.faults import Fault, Faults
from remediator.rules.index import RuleSet
from remediator.rules.load import load_rules, rule_files
from remediator.rules.spec import RuleSetSpec
from remediator.runtime.intake import Intake
from remediator.runtime.wiring import make_intake

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
    begin, bars = _since(since), Bars(silent=as_json)
    settings, source = _config(config, resolve=events == KAFKA, feed=feed)
    spec, other = _rule_sets(rules, against, settings, as_json=as_json)
    with tempfile.TemporaryDirectory(prefix="remediator-backtest-") as _, Spool() as spool:
        survey = _survey(spec, other, spool, begin, settings, source)
        if events == KAFKA:
            more = _read_kafka(source, survey, settings, begin, max_records, bars)
        else:
            more = _read_file(Path(events), survey, settings, source, bars)
        if not survey.counts.records:
            fail(f"no record in {events}" + (f" since {since}" if since else ""))

        def run(each: RuleSetSpec, name: str) -> Outcome:
            with bars.bar(f"deciding by {name}", spool.length) as progress:
                return decide(
                    each, survey, is_open=settings is None, as_if_act=as_if_act, assume=assume,
                    progress=lambda count: progress.advance(progress.task_ids[0], count),
                )  # fmt: skip

        outcome = run(spec, str(rules))
        found = difference(run(other, against), outcome) if other is not None else None
    result = Result(
        counts=survey.counts,
        outcome=outcome,
        assumed=assume.value,
        left_unread=more,
        exceeded=[
            Limit(name, allowed, number)
            for name, allowed, number in (
                ("pages", max_pages, outcome.count("paged")),
                ("actions", max_actions, outcome.count(*ACTIONS)),
                ("firings", max_firings, outcome.count(*FIRINGS)),
                ("dead letters", max_dead_letters, survey.counts.dead_letters),
            )
            if allowed is not None and number > allowed
        ],
        compared_with=against,
        difference=found,
    )
