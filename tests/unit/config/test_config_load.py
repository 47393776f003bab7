"""Good configurations: what the file says is what the settings hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from remediator.config.load import load_config
from remediator.config.policy import MAX_SAMPLE
from remediator.config.settings import Cluster, Config, Endpoint, PagerDutyReceiver, SlackReceiver
from remediator.engine.breakers import MAX_RESULTS
from remediator.model.policy import Allow, Budget, Destination, Maintenance, Mode, Policy
from remediator.model.secret import Secret
from remediator.model.time import HOUR, MINUTE, SECOND, parse_instant
from remediator.rules.faults import Faults

FEED = '[[feed]]\nname = "main"\nbootstrap_servers = "a:9092, b:9092"\ntopics = ["t"]\n'

FULL = (
    """
[policy]
lateness = "20s"
budget_cap = { per_hour = 2 }
unclassified_route = "oncall"
"""
    + FEED
    + """
[[feed]]
name = "second"
bootstrap_servers = ["c:9092"]
topic_pattern = "x.*"
lateness = "5s"

[[deployment]]
name = "prod"
feed = "main"
namespaces = ["airflow-prod"]
topics = ["t"]
ceiling = "act"
[deployment.api]
url = "https://airflow.example.com:8443"
username = "robot"
password = { env = "AIRFLOW_PASSWORD" }

[[deployment]]
name = "lab"
feed = "second"
topics = ["x-*"]
log_hosts = ["a", "b"]

[[receiver]]
name = "team"
kind = "slack"
token = { file = "slack.token" }

[[receiver]]
name = "pager"
kind = "pagerduty"
routing_key = { env = "ROUTING_KEY" }

[routes.oncall]
destinations = [{ kind = "pagerduty", receiver = "pager" }, { kind = "slack", receiver = "team", channel = "#data" }]
fallback = "default"

[http]
host = "0.0.0.0"
token = { env = "API_TOKEN" }
"""
)
ENVIRON = {"AIRFLOW_PASSWORD": "hunter2", "ROUTING_KEY": "hunter3", "API_TOKEN": "hunter4"}


def load(tmp_path: Path, text: str, environ: dict[str, str] | None = None) -> Config:
    (tmp_path / "rules").mkdir(exist_ok=True)
    path = tmp_path / "remediator.toml"
    path.write_text(text)
    return load_config(path, environ or {})


@pytest.fixture
def config(tmp_path: Path) -> Config:
    (tmp_path / "slack.token").write_text("xoxb-hunter5\n")
    return load(tmp_path, FULL, ENVIRON)


def test_a_feed_alone_is_enough(tmp_path: Path) -> None:
    config = load(tmp_path, FEED)
    assert config.feeds[0].bootstrap_servers == ("a:9092", "b:9092")
    assert config.policy().routes["default"].destinations == (Destination(kind="log"),)


def test_secrets_come_from_environment_and_file(config: Config) -> None:
    slack, pager = config.receivers
    assert isinstance(slack, SlackReceiver)
    assert slack.token.reveal() == "xoxb-hunter5"
    assert isinstance(pager, PagerDutyReceiver)
    assert pager.routing_key.reveal() == "hunter3"
    api = config.deployments[0].api
    assert api is not None
    assert api.password is not None
    assert api.password.reveal() == "hunter2"


def test_no_secret_is_in_the_repr(config: Config) -> None:
    assert "hunter" not in repr(config)


def test_the_policy_has_deployments_and_routes(config: Config) -> None:
    policy = config.policy()
    assert policy.deployments["prod"].ceiling is Mode.ACT
    assert policy.deployments["prod"].log_hosts == ("airflow.example.com",)
    assert policy.deployments["lab"].has_api is False
    assert policy.deployments["lab"].log_hosts == ("a", "b")
    assert policy.budget_cap == Budget(per_hour=2, per_day=20)
    assert policy.routes["oncall"].fallback == "default"
    assert [place.kind for place in policy.routes["oncall"].destinations] == ["pagerduty.page", "slack.message"]


def test_lateness_of_a_feed_is_its_own_or_the_policys(config: Config) -> None:
    assert [feed.lateness for feed in config.feeds] == [20 * SECOND, 5 * SECOND]


def test_bindings_name_what_belongs_to_each_deployment(config: Config) -> None:
    assert [(one.name, one.namespaces, one.topics) for one in config.bindings()] == [
        ("prod", ("airflow-prod",), ("t",)),
        ("lab", (), ("x-*",)),
    ]


def test_rule_paths_are_relative_to_the_file(config: Config, tmp_path: Path) -> None:
    assert config.rule_paths() == (tmp_path / "rules",)


def test_every_duration_of_the_policy_can_be_set(tmp_path: Path) -> None:
    names = ("memory", "incident_expiry", "self_alert_every", "action_expiry")
    text = FEED + "[policy]\n" + "".join(f'{name} = "2h"\n' for name in names)
    policy = load(tmp_path, text).policy()
    assert {getattr(policy, name) for name in names} == {2 * HOUR}


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_loopback_needs_no_token(tmp_path: Path, host: str) -> None:
    assert load(tmp_path, f'{FEED}[http]\nhost = "{host}"\n').http.token is None


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "remediator.example.com"])
def test_any_other_address_needs_one(tmp_path: Path, host: str) -> None:
    with pytest.raises(Faults, match="without a token"):
        load(tmp_path, f'{FEED}[http]\nhost = "{host}"\n')


def test_an_unreadable_secret_file_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("one\ntwo\n")
    receiver = '[[receiver]]\nname = "p"\nkind = "pagerduty"\nrouting_key = { file = "key" }\n'
    with pytest.raises(Faults, match="several lines") as caught:
        load(tmp_path, FEED + receiver)
    assert "two" not in str(caught.value)


def test_the_stores_password_is_put_into_the_url_for_the_one_who_connects(tmp_path: Path) -> None:
    text = FEED + '[store]\nurl = "postgresql://robot@db:5432/x?sslmode=require"\npassword = { env = "DB" }\n'
    store = load(tmp_path, text, {"DB": "hunter2@/:"}).store
    assert store.full_url().reveal() == "postgresql://robot:hunter2%40%2F%3A@db:5432/x?sslmode=require"
    assert "hunter2" not in repr(store)
    assert load(tmp_path, FEED).store.full_url().reveal() == "sqlite:///var/remediator.db"


def test_a_password_without_a_user_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(Faults, match="a password without a user"):
        load(tmp_path, FEED + '[store]\npassword = { env = "DB" }\n', {"DB": "x"})


@pytest.mark.parametrize("url", ["sqlite:///", "sqlite://x.db", "postgresql://[::1", "postgresql:///x", "", "x"])
def test_a_store_url_that_names_no_store_is_a_fault(tmp_path: Path, url: str) -> None:
    with pytest.raises(Faults, match="store url: found"):
        load(tmp_path, f'{FEED}[store]\nurl = "{url}"\n')


def test_how_soon_others_take_over_can_be_set(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text('[daemon]\nlease = "5s"\n[dispatcher]\nclaim = "2m"\n' + FEED + 'member = "a"\nsession = "6s"\n')
    (tmp_path / "rules").mkdir()
    config = load_config(path)
    assert (config.daemon.lease, config.dispatcher.claim) == (5 * SECOND, 120 * SECOND)
    assert (config.feeds[0].member, config.feeds[0].session) == ("a", 6 * SECOND)


@pytest.mark.parametrize(("claim", "timeout", "is_allowed"), [("80s", "20s", True), ("79s", "20s", False)])
def test_a_claim_outlives_every_call_of_an_action(tmp_path: Path, claim: str, timeout: str, is_allowed: bool) -> None:
    path = tmp_path / "config.toml"
    deployment = (
        '[[deployment]]\nname = "p"\nfeed = "main"\nnamespaces = ["p"]\napi.url = "http://a:1"\n'
        f'api.timeout = "{timeout}"\napi.username = "u"\napi.token = {{ env = "T" }}\n'
    )
    path.write_text(f'[dispatcher]\nclaim = "{claim}"\n' + FEED + deployment)
    (tmp_path / "rules").mkdir()
    faults = ""
    try:
        load_config(path, {"T": "t"})
    except Faults as found:
        faults = str(found)
    assert ("1m20s or more: 4 times the longest timeout" in faults) is not is_allowed, faults


FLEET = (
    FEED
    + """
[[deployment]]
name = "prod-a"
feed = "main"
namespaces = ["a"]
[[infrastructure]]
name = "cluster"
feed = "main"
serves = "prod-*"
namespaces = ["k8s"]
topics = ["events"]
[[allow]]
files = "rules/etl/*"
owners = ["etl", "data-*"]
[[allow]]
deployments = "prod-*"
actions = "airflow.retry"
"""
)


def two(first: str, second: str) -> str:
    """Two deployments with these claims."""
    return FEED + "".join(
        f'[[deployment]]\nname = "{name}"\nfeed = "main"\n{claims}\n' for name, claims in (("a", first), ("b", second))
    )


@pytest.mark.parametrize(
    ("first", "second", "shared"),
    [
        ('namespaces = ["prod"]', 'namespaces = ["test", "prod"]', 'namespaces: found "prod"'),
        ('namespaces = ["*"]', 'namespaces = ["prod"]', 'namespaces: found "prod"'),
        ('namespaces = ["prod-1"]', 'namespaces = ["prod-*"]', 'namespaces: found "prod-1"'),
        ('namespaces = ["*"]\ntopics = ["t1"]', 'namespaces = ["*"]\ntopics = ["t*"]', 'namespaces: found "*"'),
        ('topics = ["t"]', 'topics = ["t"]', 'topics: found "t"'),
    ],
)
def test_what_two_deployments_claim_is_a_fault(tmp_path: Path, first: str, second: str, shared: str) -> None:
    with pytest.raises(Faults) as caught:
        load(tmp_path, two(first, second))
    assert f'deployment "b" {shared}, which "a" claims too' in str(caught.value)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ('namespaces = ["prod"]', 'namespaces = ["test"]'),
        ('namespaces = ["prod-a*"]', 'namespaces = ["prod-b*"]'),
        ('namespaces = ["*"]\ntopics = ["a"]', 'namespaces = ["*"]\ntopics = ["b"]'),
        ('namespaces = ["prod"]', 'topics = ["job-states"]'),
    ],
)
def test_claims_that_differ_are_fine(tmp_path: Path, first: str, second: str) -> None:
    assert len(load(tmp_path, two(first, second)).deployments) == 2


def test_infrastructure_claims_events_and_is_never_touched(tmp_path: Path) -> None:
    config = load(tmp_path, FLEET)
    assert [(one.name, one.namespaces, one.topics) for one in config.bindings()] == [
        ("prod-a", ("a",), ()),
        ("cluster", ("k8s",), ("events",)),
    ]
    cluster = config.policy().deployments["cluster"]
    assert (cluster.serves, cluster.has_api, cluster.ceiling) == (("prod-*",), False, Mode.OBSERVE)
    assert config.policy().deployments["prod-a"].serves == ()


def test_what_may_act_is_part_of_the_policy(tmp_path: Path) -> None:
    assert load(tmp_path, FLEET).policy().allow == (
        Allow(files=("rules/etl/*",), owners=("etl", "data-*")),
        Allow(deployments=("prod-*",), actions=("airflow.retry",)),
    )
    assert load(tmp_path, FEED).policy().allow == ()


def test_bounds_of_state_can_be_set(tmp_path: Path) -> None:
    policy = load(tmp_path, FEED + '[policy]\nmax_keys = 50\ncondition_lifetime = "2h"\n').policy()
    assert (policy.max_keys, policy.condition_lifetime) == (50, 2 * HOUR)


BRAKES = (
    FEED
    + """
[[deployment]]
name = "prod-a"
feed = "main"
namespaces = ["a"]
[[deployment]]
name = "lab"
feed = "main"
namespaces = ["b"]
[[maintenance]]
deployments = "prod-*"
begin = 2026-11-01T22:00:00+01:00
end = "2026-11-02T01:00:00Z"
reason = "upgrade"
[[endpoint]]
name = "tickets"
url = "https://tickets.example.com/api"
method = "PUT"
token = { env = "TICKETS" }
headers = { X-Team = { env = "TEAM" } }
idempotency_header = "Idempotency-Key"
timeout = "5s"
[[endpoint]]
name = "bare"
url = { env = "HOOK" }
[[cluster]]
name = "production"
serves = "prod-*"
url = "https://10.0.0.1:6443"
token = { env = "KUBE" }
[routes.default]
destinations = [{ kind = "log" }]
pages_per_hour = 12
[policy]
blast_radius = 10
changes_per_minute = 5
concurrent_changes = 4
breaker_sample = 3
breaker_rate = 0.5
breaker_rest = "10m"
breaker_rest_max = "30m"
proposal_expiry = "2h"
"""
)
BRAKES_ENVIRON = {
    "TICKETS": "hunter6",
    "TEAM": "hunter7",
    "KUBE": "hunter8",
    "HOOK": "https://hooks.example.com/hunter9",
}


def test_brakes_are_part_of_the_policy(tmp_path: Path) -> None:
    policy = load(tmp_path, BRAKES, BRAKES_ENVIRON).policy()
    begin, end = parse_instant("2026-11-01T21:00:00Z"), parse_instant("2026-11-02T01:00:00Z")
    assert policy.maintenance == (Maintenance(("prod-*",), begin, end, "upgrade"),)
    assert (policy.blast_radius, policy.changes_per_minute, policy.concurrent_changes) == (10, 5, 4)
    assert (policy.breaker_sample, policy.breaker_rate, policy.breaker_rest) == (3, 0.5, 10 * MINUTE)
    assert policy.breaker_rest_max == 30 * MINUTE
    assert policy.proposal_expiry == 2 * HOUR
    assert policy.routes["default"].pages_per_hour == 12
    plain = load(tmp_path, FEED).policy()
    assert (plain.maintenance, plain.blast_radius) == ((), Policy().blast_radius)
    assert plain.routes["default"].pages_per_hour == 20


def test_a_breaker_can_remember_the_largest_sample() -> None:
    assert MAX_SAMPLE == MAX_RESULTS


def test_endpoints_and_clusters_are_settings_with_their_secrets(tmp_path: Path) -> None:
    config = load(tmp_path, BRAKES, BRAKES_ENVIRON)
    assert config.endpoints == (
        Endpoint("tickets", Secret("https://tickets.example.com/api"), "PUT", Secret("hunter6"),
                 {"X-Team": Secret("hunter7")}, "Idempotency-Key", 5 * SECOND),
        Endpoint("bare", Secret("https://hooks.example.com/hunter9")),
    )  # fmt: skip
    assert config.clusters == (Cluster("production", ("prod-*",), "https://10.0.0.1:6443", Secret("hunter8")),)
    assert config.cluster_of("prod-a") is config.clusters[0]
    assert config.cluster_of("lab") is None
    assert "hunter" not in repr(config)


def test_a_claim_outlives_calls_of_endpoints_and_clusters_too(tmp_path: Path) -> None:
    for timeout in (
        'idempotency_header = "Idempotency-Key"\ntimeout = "25s"',
        'token = { env = "KUBE" }\ntimeout = "25s"',
    ):
        text = BRAKES.replace('timeout = "5s"', "").replace(timeout.partition("\n")[0], timeout)
        with pytest.raises(Faults, match="1m40s or more: 4 times the longest timeout"):
            load(tmp_path, text, BRAKES_ENVIRON)
