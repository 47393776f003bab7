"""`remediator status`: the daemon at a glance."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from remediator.cli.daemon import ConfigOption, JsonOption, UrlOption, find_daemon
from remediator.cli.output import safe, say, say_json
from remediator.model.shares import Loss, percent
from remediator.model.time import SECOND, format_duration

KNOWN = {
    "time",
    "frozen",
    "freeze",
    "incidents_open",
    "journal",
    "outbox",
    "dead_letters",
    "timers",
    "feeds",
    "restored",
    "deployments",
    "store_failing",
    "rules_rejected",
    "approvals",
    "breakers",
}

THAW = "no change is made until `remediator freeze off`"


def status(url: UrlOption = None, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show what the daemon is doing."""
    view = find_daemon(config, url).get("/api/v1/status", "journal")
    if as_json:
        say_json(view)
        return
    for line in status_lines(view):
        say(line)


def status_lines(view: dict[str, Any]) -> Iterator[str]:
    """The status as a person reads it."""
    journal = view.get("journal", {})
    yield frozen_text(view.get("freeze")) if view.get("frozen") else "running"
    yield from trouble_lines(view)
    if found := view.get("restored"):
        yield f"restored         {'looking; so far' if found['looking'] else 'found'}: {safe(found['found'])}"
    yield f"incidents open   {view.get('incidents_open', 0)}"
    yield f"approvals        {approvals_text(view.get('approvals', {}))}"
    yield from breaker_lines(view.get("breakers", {}))
    yield (
        f"journal          decided {journal.get('decided', 0):,} of {journal.get('head', 0):,}"
        f" ({journal.get('lag_s', 0):.1f} s behind)"
    )
    for name, feed in view.get("feeds", {}).items():
        yield f"feed {safe(name):<11} {feed_text(feed)}"
    for name, deployment in view.get("deployments", {}).items():
        yield f"deployment {safe(name):<5} {deployment_text(deployment)}"
    yield f"outbox           {outbox_text(view.get('outbox', {}))}"
    yield f"dead letters     {view.get('dead_letters', 0):,}"
    for name, value in view.items():
        if name not in KNOWN:
            yield f"{safe(name):<16} {safe(value)}"


def trouble_lines(view: dict[str, Any]) -> Iterator[str]:
    """What keeps it from its work, before everything that looks well: it runs, and yet does nothing."""
    for problem in view.get("store_failing", ()):
        yield f"STORE FAILING    {safe(problem)}"
    for line in str(view.get("rules_rejected", "")).splitlines():
        yield f"RULES REJECTED   {safe(line)}"
    unread = [safe(name) for name, feed in view.get("feeds", {}).items() if feed.get("blind") or feed.get("problem")]
    if unread:
        yield f"NOT READ         feed {', '.join(unread)}"
    silent = [safe(name) for name, one in view.get("deployments", {}).items() if one.get("silent_s") is not None]
    if silent:
        yield f"NO ANSWER        deployment {', '.join(silent)}"


def frozen_text(freeze: dict[str, Any] | None) -> str:
    """'FROZEN by ada at 2026-03-02T02:11:40Z (release): …'; who did it is known once it is decided upon."""
    if freeze is None:
        return f"FROZEN: {THAW}"
    why = f" ({safe(freeze['reason'])})" if freeze["reason"] else ""
    return f"FROZEN by {safe(freeze['by'])} at {safe(freeze['at'])[:19]}Z{why}: {THAW}"


def approvals_text(approvals: dict[str, Any]) -> str:
    """'2 wait for a person, the oldest for 12m, the next expires in 48m; see remediator approvals list'"""
    waiting = approvals.get("waiting", 0)
    if not waiting:
        return "none waits"
    oldest, expiry = approvals.get("oldest_s"), approvals.get("next_expiry_s")
    since = f", the oldest for {_length(oldest)}" if oldest is not None else ""
    until = f", the next expires in {_length(expiry)}" if expiry is not None else ""
    return f"{waiting} {'wait' if waiting > 1 else 'waits'} for a person{since}{until}; see remediator approvals list"


def breaker_lines(breakers: dict[str, Any]) -> Iterator[str]:
    """One line for each open breaker, so that the rule that does not help is named."""
    listed = breakers.get("listed", ())
    for one in listed:
        name = safe(f"{one['rule']}/{one['signature']}")
        yield f"BREAKER OPEN     {name}: {breaker_text(one)} [incident {safe(one['incident'])[:12]}]"
    if (left := breakers.get("open", 0) - len(listed)) > 0:
        yield f"BREAKER OPEN     and {left} more"


def breaker_text(breaker: dict[str, Any]) -> str:
    """'for 12m, 5 failures have waited; the next probe in 3m'"""
    since = f"for {_length(breaker['open_s'])}, " if breaker.get("open_s") is not None else ""
    waited = breaker.get("waiting", 0)
    many = f"{waited} failure{'s' * (waited != 1)} {'have' if waited != 1 else 'has'} waited"
    if breaker.get("probing"):
        return f"{since}{many}; a probe is under way"
    probe = breaker.get("next_probe_s")
    left = f"in {_length(probe)}" if probe else "with the next failure"
    refused = "; a person said no to going on" if breaker.get("given_up") else ""
    return f"{since}{many}; the next probe {left}{refused}"


def _length(seconds: float) -> str:
    """'1h12m', '48s': whole seconds."""
    return format_duration(int(seconds) * SECOND)


def feed_text(feed: dict[str, Any]) -> str:
    """'healthy, complete up to 12.0 s ago', 'BLIND', 'NOT READ: cannot connect to …', …"""
    problem = f"NOT READ: {safe(feed['problem'])}" if feed.get("problem") else ""
    state = ", ".join(text for text in ("BLIND" if feed.get("blind") else "", problem) if text) or "healthy"
    age = feed.get("watermark_age_s")
    delay = feed.get("delay_s")
    known = "" if delay is None else f"; events known after {delay:.1f} s, 95 % within {feed['delay_p95_s']:.1f} s"
    return f"{state}{'' if age is None else f', complete up to {age:.1f} s ago'}{known}"


def deployment_text(deployment: dict[str, Any]) -> str:
    """'act, feed main; 5 of 20 failures of the last hour were announced by no event (25 %)', 'NO ANSWER for 12m, …'"""
    silent = deployment.get("silent_s")
    text = "" if silent is None else f"NO ANSWER for {_length(silent)}, "
    text += f"{safe(deployment.get('ceiling', ''))}, feed {safe(deployment.get('feed', ''))}"
    text += "" if deployment.get("has_api", True) else ", no API"
    loss = Loss(deployment.get("failures_last_hour", 0), deployment.get("unannounced_last_hour", 0))
    if loss.share is None:
        return text
    return f"{text}; {loss_text(loss)} ({percent(loss.share)})"


def loss_text(loss: Loss) -> str:
    """'5 of 20 failures of the last hour were announced by no event'"""
    return f"{loss.unannounced} of {loss.expected} failures of the last hour were announced by no event"


def outbox_text(outbox: dict[str, dict[str, int]]) -> str:
    """What is on its way, by kind."""
    waiting = {
        kind: sum(count for state, count in states.items() if state in ("pending", "claimed"))
        for kind, states in outbox.items()
    }
    busy = [f"{safe(kind)} {count}" for kind, count in sorted(waiting.items()) if count]
    return ", ".join(busy) or "nothing on its way"
