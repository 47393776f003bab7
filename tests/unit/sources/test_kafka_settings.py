"""Settings: every fault at once, and the password nowhere but where it is sent."""

from __future__ import annotations

import ssl

import pytest

from remediator.model.secret import Secret
from remediator.sources.kafka_settings import KafkaSettings


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(ValueError) as caught:
        KafkaSettings(bootstrap=(), group="", topics=("a",), pattern="(", security_protocol="SASL_SSL", max_records=0)
    text = str(caught.value)
    for part in ("bootstrap", "group", "not both", "not a regular expression", "username", "max_records"):
        assert part in text


def test_neither_topics_nor_pattern() -> None:
    with pytest.raises(ValueError, match="not neither"):
        KafkaSettings(bootstrap=("b:1",), group="g")


def test_the_password_is_sent_and_not_shown() -> None:
    settings = KafkaSettings(
        bootstrap=("b:1",),
        group="g",
        topics=("a",),
        security_protocol="SASL_SSL",
        sasl_mechanism="SCRAM-SHA-512",
        username="u",
        password=Secret("hunter2"),
    )
    options = settings.consumer_options()
    assert options["sasl_plain_password"] == "hunter2"
    assert options["sasl_mechanism"] == "SCRAM-SHA-512"
    assert isinstance(options["ssl_context"], ssl.SSLContext)
    assert options["ssl_context"].verify_mode is ssl.CERT_REQUIRED
    assert "hunter2" not in repr(settings)


def test_the_broker_never_holds_our_offsets() -> None:
    options = KafkaSettings(bootstrap=("b:1",), group="g", topics=("a",)).consumer_options()
    assert options["enable_auto_commit"] is False
    assert options["auto_offset_reset"] == "none"
    assert options["isolation_level"] == "read_committed"
    assert "ssl_context" not in options
