"""The deployment map: exactly one claimant is an answer, none or several are not."""

from __future__ import annotations

import pytest

from remediator.codecs.deployments import MAX_CACHED, DeploymentBinding, DeploymentMap
from remediator.model.event import Event

BINDINGS = [
    DeploymentBinding("prod", namespaces=("prod-*",), topics=("openlineage.*",)),
    DeploymentBinding("eu", namespaces=("prod-eu",)),
    DeploymentBinding("lab", topics=("lab.events",)),
    DeploymentBinding("nobody"),
]


def event(namespace: str) -> Event:
    return Event(type="task.failed", time=0, namespace=namespace)


@pytest.mark.parametrize(
    ("namespace", "topic", "expected"),
    [
        ("prod-us", "openlineage.events", ("prod", ("prod",))),
        ("prod-eu", "openlineage.events", ("", ("prod", "eu"))),
        ("prod-eu", "other", ("eu", ("eu",))),
        ("prod-us", "other", ("", ())),
        ("anything", "lab.events", ("lab", ("lab",))),
        ("PROD-us", "openlineage.events", ("", ())),
        ("", "", ("", ())),
    ],
)
def test_assign(namespace: str, topic: str, expected: tuple[str, tuple[str, ...]]) -> None:
    deployments = DeploymentMap(BINDINGS)
    assert deployments.assign(event(namespace), topic) == expected
    assert deployments.assign(event(namespace), topic) == expected


def test_answers_stay_right_when_the_cache_is_full() -> None:
    deployments = DeploymentMap(BINDINGS)
    for n in range(MAX_CACHED + 10):
        assert deployments.assign(event(f"prod-{n}"), "openlineage.x")[0] == "prod"
    assert deployments.assign(event("prod-eu"), "x") == ("eu", ("eu",))
