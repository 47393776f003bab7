"""The files that the demo's daemon reads: its configuration, its rules and the stand-ins' credentials.

Owns what the demo changes of the shipped packs: waits and budgets, so that minutes pass in seconds. Starts nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

from remediator.demo.fleet.scenario import fleet

TOPIC = "airflow.events"
PARTITIONS = 3
FEED = "fleet"
CHANNEL = "alerts"
BACKOFF = "2s"
PER_HOUR = 12
PER_DAY = 100
CONFIG = "remediator.toml"
LOG = "remediator.log"

CHANGES = (
    (re.compile(r'\binitial = "[^"]*"'), f'initial = "{BACKOFF}"'),
    (re.compile(r"\bper_hour = \d+"), f"per_hour = {PER_HOUR}"),
    (re.compile(r"\bper_day = \d+"), f"per_day = {PER_DAY}"),
)
CHANGES_TOLD = f"demo: first waits of retries shortened to {BACKOFF}, budgets raised to {PER_HOUR} an hour per task"

HEAD = """\
[daemon]
name = "remediator-demo"

[store]
url = "sqlite:///{folder}/remediator.db"

[http]
port = {port}

[log]
level = "info"
format = "json"

[policy]
lateness = "2s"
look_delay = "1s"
look_again = "1s"
look_again_max = "4s"
told_look_every = "10s"
behind_after = "15s"
blind_after = "30s"
sweep_every = "15s"
sweep_overlap = "30s"

[policy.budget_cap]
per_hour = {per_hour}
per_day = {per_day}

[[feed]]
name = "{feed}"
bootstrap_servers = ["{bootstrap}"]
topics = ["{topic}"]
start = "earliest"
session = "2s"
fetch = {{ max_wait = "200ms" }}

[[receiver]]
name = "chat"
kind = "slack"
token = {{ file = "slack.token" }}
api_url = "{receiver}/api/"

[[receiver]]
name = "pager"
kind = "pagerduty"
routing_key = {{ file = "pagerduty.key" }}
api_url = "{receiver}"

[[routes.default.destinations]]
kind = "pagerduty"
receiver = "pager"

[[routes.default.destinations]]
kind = "slack"
receiver = "chat"
channel = "{channel}"
"""
DEPLOYMENT = """
[[deployment]]
name = "{name}"
feed = "{feed}"
namespaces = ["{namespace}"]
ceiling = "act"

[deployment.api]
url = "{url}"
username = "admin"
password = {{ file = "airflow.password" }}
"""
SECRETS = {"airflow.password": "admin", "slack.token": "demo-token", "pagerduty.key": "demo-routing-key"}
"""The stand-ins' credentials: they open nothing else."""


def packs() -> Path:
    """The folder of the rule packs: inside the installed package, or beside it in a checkout."""
    package = Path(str(files("remediator")))
    installed = package / "packs"
    return installed if installed.is_dir() else package.parent / "rules"


def write_rules(source: Path, target: Path) -> int:
    """Copy every rule file with CHANGES made; returns how many. Raises FileNotFoundError if there is none."""
    found = [path for path in sorted(source.rglob("*.toml")) if not path.name.endswith(".test.toml")]
    if not found:
        raise FileNotFoundError(f"no rule packs in {source}")
    for path in found:
        copy = target / path.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(quickened(path.read_text("utf-8")), "utf-8")
    return len(found)


def quickened(text: str) -> str:
    """A rule file whose waits and budgets suit a demo."""
    for pattern, replacement in CHANGES:
        text = pattern.sub(replacement, text)
    return text


def write_config(folder: Path, *, port: int, bootstrap: str, receiver: str, apis: Mapping[str, str]) -> Path:
    """Write the configuration and its secrets. apis: deployment -> the URL of its stand-in."""
    for name, value in SECRETS.items():
        (folder / name).write_text(value, "utf-8")
    text = HEAD.format(
        folder=folder.resolve(), port=port, per_hour=PER_HOUR, per_day=PER_DAY, feed=FEED, bootstrap=bootstrap,
        topic=TOPIC, receiver=receiver, channel=CHANNEL,
    )  # fmt: skip
    for one in fleet():
        text += DEPLOYMENT.format(name=one.name, feed=FEED, namespace=one.namespace, url=apis[one.name])
    path = folder / CONFIG
    path.write_text(text, "utf-8")
    return path
