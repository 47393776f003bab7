"""What events of Kubernetes, Alertmanager and AWS mean: types, conditions with scope and lifetime, times, refusals."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from codec_cases import PAYLOADS, RECEIVED, TESTS, record

from remediator.codecs.alertmanager import AlertmanagerCodec
from remediator.codecs.eventbridge import EventBridgeCodec
from remediator.codecs.kubernetes import KubernetesCodec
from remediator.codecs.kubernetes_reasons import REASONS
from remediator.codecs.names import snake
from remediator.codecs.port import Undecodable
from remediator.model.event import ConditionInfo, Event
from remediator.model.time import HOUR, MINUTE, format_duration, parse_instant

ZERO = "0001-01-01T00:00:00Z"


def payload(codec: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((PAYLOADS / codec / f"{name}.json").read_text())
    return found


def pod(reason: str, message: str = "", **changes: Any) -> dict[str, Any]:
    return payload("kubernetes", "back_off") | {"reason": reason, "message": message} | changes


def kubernetes(value: Any) -> Event:
    (event,) = KubernetesCodec().decode(record(value))
    return event


def eventbridge(value: Any) -> Event:
    (event,) = EventBridgeCodec().decode(record(value))
    return event


def test_what_begins_with_one_event_ends_with_the_other() -> None:
    begun = kubernetes(payload("kubernetes", "node_not_ready_exporter")).condition
    ended = kubernetes(payload("kubernetes", "node_ready")).condition
    assert begun == ConditionInfo("node.not_ready", "node/ip-10-0-3-7.ec2.internal")
    assert ended == ConditionInfo("node.not_ready", "node/ip-10-0-3-7.ec2.internal", active=False)


def test_every_condition_that_is_ended_is_begun_by_another_reason() -> None:
    begun = {one.condition for one in REASONS.values() if one.active}
    assert {one.condition for one in REASONS.values()} == begun
    assert all(one.type == one.condition for one in REASONS.values() if one.active)


def test_the_manual_lists_every_condition_with_its_lifetime() -> None:
    manual = (TESTS.parent / "docs" / "codecs.md").read_text()
    rows = [row for row in manual.splitlines() if row.startswith("| `")]
    for meaning in REASONS.values():
        (row,) = [row for row in rows if f"`{meaning.condition}`" in row.split("|")[1]]
        if meaning.active:
            told = format_duration(meaning.lifetime) if meaning.lifetime else "open"
            assert row.rstrip(" |").endswith(f"| {told}"), meaning.condition


@pytest.mark.parametrize(
    ("reason", "message", "type_"),
    [
        ("OOMKilled", "", "pod.oom_killed"),
        ("Killing", "Container base was OOMKilled", "pod.oom_killed"),
        ("Failed", "Error: ImagePullBackOff", "pod.back_off"),
        ("Failed", "Error: ErrImagePull", "kubernetes.failed"),
        ("CrashLoopBackOff", "", "pod.back_off"),
        ("NodeNotReady", "Node is not ready", "kubernetes.node_not_ready"),
        ("TaintManagerEviction", "", "kubernetes.taint_manager_eviction"),
        ("", "", "kubernetes.other"),
        ("Überlauf 3", "", "kubernetes.berlauf_3"),
    ],
)
def test_reasons_of_pods(reason: str, message: str, type_: str) -> None:
    assert kubernetes(pod(reason, message)).type == type_


def test_a_held_back_pod_says_what_it_waits_for() -> None:
    for reason, message, waiting in [
        ("BackOff", "Back-off restarting failed container base", "CrashLoopBackOff"),
        ("BackOff", 'Back-off pulling image "a/b:1"', "ImagePullBackOff"),
        ("Failed", "Error: ImagePullBackOff", "ImagePullBackOff"),
    ]:
        assert kubernetes(pod(reason, message)).attributes["waiting"] == waiting


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"lastTimestamp": "2026-11-22T07:00:00Z"}, "2026-11-22T07:00:00Z"),
        ({"series": {"count": 3, "lastObservedTime": "2026-11-22T06:00:00Z"}}, "2026-11-22T06:00:00Z"),
        ({"eventTime": "2026-11-22T05:00:00.5Z", "lastTimestamp": ZERO}, "2026-11-22T05:00:00.5Z"),
        ({"firstTimestamp": "2026-11-22T04:00:00Z"}, "2026-11-22T04:00:00Z"),
        ({"metadata": {"creationTimestamp": "2026-11-22T03:00:00Z"}}, "2026-11-22T03:00:00Z"),
        ({}, None),
    ],
)
def test_the_time_is_the_last_one_that_is_said(changes: dict[str, Any], expected: str | None) -> None:
    event = pod("BackOff") | {"lastTimestamp": None, "firstTimestamp": None, "eventTime": None, "metadata": {}}
    assert kubernetes(event | changes).time == (parse_instant(expected) if expected else RECEIVED)


def test_an_object_without_a_name_has_no_scope() -> None:
    event = kubernetes(pod("Evicted", involvedObject={"kind": "Pod", "namespace": "etl"}))
    assert (event.type, event.subject, event.condition) == ("pod.evicted", None, None)


def test_objects_other_than_pods_and_nodes_are_subjects_too() -> None:
    job = {"kind": "Job", "namespace": "etl", "name": "nightly"}
    event = kubernetes(pod("BackoffLimitExceeded", involvedObject=job))
    assert (event.type, event.subject) == ("kubernetes.backoff_limit_exceeded", "job/etl/nightly")
    assert "pod" not in event.attributes


@pytest.mark.parametrize(
    "envelope",
    [
        {"type": "DELETED", "object": pod("BackOff")},
        {"type": "BOOKMARK", "object": {"kind": "Event", "metadata": {"resourceVersion": "12746"}}},
        {"type": "ERROR", "object": {"kind": "Status", "code": 410}},
        {"specversion": "1.0", "data": {"operation": "delete", "kind": "Event", "obj": pod("BackOff")}},
        {"specversion": "1.0", "data": {"operation": "update", "kind": "Pod", "obj": {"kind": "Pod"}}},
        {"message": json.dumps({"type": "DELETED", "object": pod("BackOff")})},
    ],
)
def test_what_is_no_happening_gives_no_event(envelope: dict[str, Any]) -> None:
    assert KubernetesCodec().decode(record(envelope)) == []


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({"a": 1}, r"missing member: `\$\.involvedObject` or `\$\.regarding`, and no known envelope"),
        ({"message": "{}"}, r"missing member: `\$\.message\.involvedObject`"),
        ({"message": '{"message": "{}"}'}, r"missing member: `\$\.message\.involvedObject`"),
        ({"log": "{ not JSON"}, "not JSON"),
        ({"type": "ADDED", "object": {"kind": "Pod"}}, r"missing member: `\$\.object\.involvedObject`"),
        ({"verb": "ADDED", "event": 3}, r"wrong type: .*`\$\.event`"),
        (pod("BackOff", lastTimestamp="soon"), r"wrong type: .*`\$\.lastTimestamp`"),
        ({"involvedObject": {"kind": 1}}, r"wrong type: .*`\$\.involvedObject\.kind`"),
    ],
)
def test_what_is_no_event_says_where(value: Any, reason: str) -> None:
    with pytest.raises(Undecodable, match=reason):
        KubernetesCodec().decode(record(value))


def alert(status: str = "firing", **changes: Any) -> dict[str, Any]:
    one = payload("alertmanager", "firing")["alerts"][0] | {"status": status} | changes
    return payload("alertmanager", "firing") | {"alerts": [one]}


def test_an_alert_without_a_name_is_named_by_its_fingerprint() -> None:
    (event,) = AlertmanagerCodec().decode(record(alert(labels={"instance": "a:1"})))
    assert event.subject == "alert/1a30ba71cca2921f/a:1"
    (event,) = AlertmanagerCodec().decode(record(alert(labels=None, fingerprint=None)))
    assert (event.subject, event.condition) == (None, None)


def test_a_repeated_notification_is_the_same_event_and_renews_the_condition() -> None:
    value = json.dumps(alert(startsAt="2026-11-22T06:00:00Z")).encode()
    began = parse_instant("2026-11-22T06:00:00Z")
    ends = []
    for hours in (-1, 0, 40):
        received = msgspec.structs.replace(record(value), timestamp=began + hours * HOUR)
        (event,) = AlertmanagerCodec().decode(received)
        assert event.condition is not None
        assert event.time == began
        ends.append(event.time + event.condition.lifetime)
    assert ends == [began + 24 * HOUR, began + 24 * HOUR, began + 64 * HOUR]


def test_an_alert_that_says_no_time_has_its_records() -> None:
    (event,) = AlertmanagerCodec().decode(record(alert("resolved", endsAt=ZERO)))
    assert (event.time, event.ended_at) == (RECEIVED, None)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (alert() | {"version": "3"}, r"unknown version at `\$\.version`: '3', allowed is 4"),
        (alert("pending"), r"unknown value at `\$\.alerts\[0\]\.status`: 'pending', allowed are firing, resolved"),
        (alert(labels={"a": 1}), r"wrong type: .*`\$\.alerts\[0\]\.labels\[\.\.\.\]`"),
        (alert() | {"alerts": [{"status": "firing"}] * 10_001}, "too many alerts: 10001, at most 10000 are read"),
        ({"version": "4"}, "missing required field `alerts`"),
    ],
)
def test_what_is_no_notification_says_where(value: Any, reason: str) -> None:
    with pytest.raises(Undecodable, match=reason):
        AlertmanagerCodec().decode(record(value))


def test_notice_of_an_interruption_outlasts_the_time_in_which_it_is_noticed() -> None:
    condition = eventbridge(payload("eventbridge", "spot_interruption")).condition
    assert condition is not None
    assert condition.lifetime == 10 * MINUTE


def test_only_aws_can_warn_of_an_interruption() -> None:
    drill = payload("eventbridge", "spot_interruption") | {"source": "com.example"}
    assert eventbridge(drill).condition is None
    assert eventbridge(drill).type == "aws.ec2_spot_instance_interruption_warning"


@pytest.mark.parametrize(
    "detail", [None, [], "x", 7, {}, {"lastStatus": 1, "containers": 3}, {"containers": [1, {"exitCode": True}]}]
)
def test_a_detail_of_any_shape_is_read(detail: Any) -> None:
    for name in ("ecs_task_stopped", "batch_job_failed", "spot_interruption", "instance_state_change"):
        event = eventbridge(payload("eventbridge", name) | {"detail": detail})
        assert (event.condition, event.ended_at) == (None, None)
        assert event.attributes.get("exit_codes") is None


def test_environments_and_commands_are_left_out_of_what_no_table_reads() -> None:
    secret = {
        "environment": {"A": "hunter2"},
        "x": [{"command": ["--pw", "hunter2"], "key": "TOKEN", "value": "hunter2"}],
    }
    event = eventbridge(payload("eventbridge", "ecs_service_action") | {"detail": secret})
    assert event.attributes["detail"] == {"x": [{"key": "TOKEN", "value": "***"}]}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"version": "1"}, r"unknown version at `\$\.version`: '1', allowed is 0"),
        ({"account": 1}, r"wrong type: .*`\$\.account`"),
        ({"time": "9999-12-31T23:59:59-23:59"}, r"out of range: the time at `\$\.time`"),
    ],
)
def test_what_is_no_envelope_says_where(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(Undecodable, match=reason):
        EventBridgeCodec().decode(record(payload("eventbridge", "spot_interruption") | change))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("NodeHasSufficientPID", "node_has_sufficient_pid"),
        ("FailedToDrainNode", "failed_to_drain_node"),
        ("EC2 Instance State-change Notification", "ec2_instance_state_change_notification"),
        ("shutting-down", "shutting_down"),
        ("ECSUpdate", "ecs_update"),
        ("___", ""),
        ("x" * 500, "x" * 100),
    ],
)
def test_words_for_types(text: str, words: str) -> None:
    assert snake(text) == words
