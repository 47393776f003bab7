"""config.example.toml: loads as it stands, documents every key, and names none that is unknown."""

from __future__ import annotations

import re
import shutil
import tomllib
from pathlib import Path
from typing import Any

import msgspec

from remediator.config import settings
from remediator.config.load import load_config
from remediator.model.policy import Allow, Budget, Destination, Maintenance, Mode, Policy, ReportTimes, Route

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "config.example.toml"

DERIVED = {
    "Policy": {"deployments", "routes", "feed_lateness", "allow", "maintenance", "endpoints", "report"},
    "Route": {"name"},
    "EventMapping": {"type_path"},
}
"""Fields that are no keys of the table of the same name."""
SECTIONS: list[tuple[str, type[msgspec.Struct]]] = [
    ("daemon", settings.Daemon),
    ("store", settings.StoreSettings),
    ("feed", settings.Feed),
    ("feed.security", settings.KafkaSecurity),
    ("feed.fetch", settings.FetchLimits),
    ("feed.mapping", settings.EventMapping),
    ("deployment", settings.Deployment),
    ("deployment.api", settings.AirflowApi),
    ("infrastructure", settings.Infrastructure),
    ("allow", Allow),
    ("maintenance", Maintenance),
    ("endpoint", settings.Endpoint),
    ("cluster", settings.Cluster),
    ("receiver", settings.SlackReceiver),
    ("receiver", settings.PagerDutyReceiver),
    ("routes.default", Route),
    ("report", ReportTimes),
    ("policy", Policy),
    ("rules", settings.RulesSettings),
    ("http", settings.HttpSettings),
    ("log", settings.LogSettings),
    ("dispatcher", settings.DispatcherSettings),
]
OPTIONAL = re.compile(r"^# ?(\[\[?[a-z.]+\]?\]|[a-z_]+ = )", re.MULTILINE)
"""A commented line that is TOML: a header or a key."""


def documented() -> dict[str, set[str]]:
    """Section -> keys, whether commented or not."""
    found: dict[str, set[str]] = {}
    section = ""
    for line in EXAMPLE.read_text().splitlines():
        text = line.removeprefix("# ")
        if header := re.match(r"\[\[?([a-z.]+)\]\]?", text):
            section = header[1]
            found.setdefault(section, set())
        elif key := re.match(r"([a-z_]+) = ", text):
            found[section].add(key[1])
    return found


def keys_of(struct: type[msgspec.Struct]) -> set[str]:
    tables = {"security", "fetch", "mapping", "api"}
    config = struct.__struct_config__
    kind = {config.tag_field} if config.tag_field else set()
    return (set(struct.__struct_fields__) | kind) - DERIVED.get(struct.__name__, set()) - tables


def test_it_loads_without_any_secret() -> None:
    config = load_config(EXAMPLE, {})
    assert config.feeds[0].bootstrap_servers == ("localhost:9092",)
    assert config.deployments[0].ceiling is Mode.OBSERVE
    assert config.policy().routes["default"].destinations == (Destination(kind="log"),)


def test_every_key_is_documented() -> None:
    found = documented()
    for section, struct in SECTIONS:
        assert keys_of(struct) <= found[section], section


def test_every_documented_key_is_known() -> None:
    known: dict[str, set[str]] = {}
    for section, struct in SECTIONS:
        known.setdefault(section, set()).update(keys_of(struct))
    assert documented() == known


def test_every_optional_line_is_accepted(tmp_path: Path) -> None:
    """With every comment that is TOML opened up, what is left to complain about is choice, not spelling."""
    text = OPTIONAL.sub(lambda match: match[1], EXAMPLE.read_text())
    text = re.sub(r"^  # (\{ kind)", r"  \1", text, flags=re.MULTILINE)
    text = text.replace("topic_pattern = '", "# ").replace('token = { env = "AIRFLOW_TOKEN" }', "")
    text = text.replace("sqlite:///var/remediator.db", "postgresql://robot@localhost/remediator")
    tomllib.loads(text)
    (tmp_path / "rules").mkdir()
    copy = tmp_path / "all.toml"
    copy.write_text(text)
    environ = dict.fromkeys(re.findall(r'env = "([A-Z_]+)"', text), "value")
    config = load_config(copy, environ)
    assert {receiver.name for receiver in config.receivers} == {"team-slack", "oncall"}
    assert len(config.policy().routes["default"].destinations) == 3


def test_shown_defaults_are_the_defaults(tmp_path: Path) -> None:
    """Opening a commented default changes nothing."""
    shutil.copytree(ROOT / "rules", tmp_path / "rules")
    text = EXAMPLE.read_text()
    no_default = "topic_pattern|max_page_count|audit_retention|log_hosts"
    kept = re.compile(rf"^# ((?!{no_default})[a-z_]+ = (?!\{{ (?:env|file))[^#\n]*)", re.MULTILINE)
    lists = "receiver|infrastructure|allow|maintenance|endpoint|cluster|feed"
    secrets = re.compile(rf"^# \[(report|deployment\.api|feed\.mapping|\[({lists})\])\]\n(?:# .*\n)+", re.MULTILINE)
    opened = kept.sub(lambda match: match[1], secrets.sub("", text))
    copy = tmp_path / "defaults.toml"
    copy.write_text(re.sub(r"^# (\[feed\.[a-z]+\])", r"\1", opened, flags=re.MULTILINE))
    shown, plain = as_data(load_config(copy, {})), as_data(load_config(EXAMPLE, {}))
    assert {**shown, "base": ""} == {**plain, "base": ""}
    assert opened.count("\n# ") < text.count("\n# ") - 30


def as_data(config: settings.Config) -> dict[str, Any]:
    data: dict[str, Any] = msgspec.structs.asdict(config)
    return data


def test_the_structs_under_test_are_all_there_are() -> None:
    """A new section must be added to SECTIONS."""
    structs = {
        value
        for value in vars(settings).values()
        if isinstance(value, type) and issubclass(value, msgspec.Struct) and value.__module__ == settings.__name__
    }
    assert structs - {struct for _, struct in SECTIONS} == {settings.Config}
    assert set(Budget.__struct_fields__) == {"per_hour", "per_day", "target"}
