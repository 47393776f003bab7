"""Payloads of other systems decode to their golden events, directly and by auto (UPDATE_GOLDEN=1 rewrites them)."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest
from codec_cases import PAYLOADS, TESTS, documented_mapping, payloads, record

from remediator.codecs.auto import AutoCodec
from remediator.codecs.port import Codec
from remediator.codecs.registry import CODECS
from remediator.model.event import Event

NAMES = ("kubernetes", "alertmanager", "eventbridge", "mapping")
UNKNOWN_TO_AUTO = {"kubewatch", "vector_line"}
"""A CloudEvent stays one, and a log line could hold anything."""


def codec_of(name: str) -> Codec:
    return documented_mapping() if name == "mapping" else CODECS[name]()


def decoded(codec: Codec, path: Path) -> list[Event]:
    return codec.decode(record(path.read_bytes()))


@pytest.mark.parametrize("name", NAMES)
def test_payloads_decode_to_the_golden_events(name: str) -> None:
    codec = codec_of(name)
    found: Any = {path.stem: msgspec.to_builtins(decoded(codec, path)) for path in payloads(name)}
    found = json.loads(json.dumps(found))
    golden = TESTS / "golden" / "codecs" / f"{name}.json"
    if os.environ.get("UPDATE_GOLDEN") == "1":
        golden.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    assert found == json.loads(golden.read_text())


@pytest.mark.parametrize("name", NAMES[:3])
def test_auto_tells_them_apart(name: str) -> None:
    codec, auto = codec_of(name), AutoCodec()
    for path in payloads(name):
        if path.stem not in UNKNOWN_TO_AUTO:
            assert decoded(auto, path) == decoded(codec, path), path.stem


@pytest.mark.parametrize("name", NAMES)
def test_each_payload_names_its_source(name: str) -> None:
    listed = (PAYLOADS / name / "README.md").read_text()
    assert [path.name for path in payloads(name) if f"`{path.name}`" not in listed] == []


@pytest.mark.parametrize("name", NAMES)
def test_no_secret_of_a_payload_survives(name: str) -> None:
    codec = codec_of(name)
    for path in payloads(name):
        encoded = msgspec.json.encode(decoded(codec, path))
        assert b"hunter2" not in encoded, path.stem
        assert b"Bearer abc" not in encoded, path.stem
