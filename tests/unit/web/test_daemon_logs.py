"""The daemon's log: names, bounds, masks."""

from __future__ import annotations

import io
import json
import logging
from typing import Any

import pytest

from remediator.model.secret import Secret
from remediator.runtime.logs import FIELDS_LIMIT, TEXT_LIMIT, Name, capture_libraries, make_logger


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


def test_a_line_is_json_with_its_name(stream: io.StringIO) -> None:
    make_logger("info", "json", stream).info(Name.FEED_LOST, feed="main", text="größer")
    (line,) = lines(stream)
    assert line["event"] == "feed.lost"
    assert line["level"] == "info"
    assert line["feed"] == "main"
    assert line["time"].endswith("Z")
    assert "größer" in stream.getvalue()


def test_what_is_below_the_level_is_not_written(stream: io.StringIO) -> None:
    logger = make_logger("warning", "json", stream)
    logger.info(Name.DECISION)
    logger.warning(Name.FEED_LOST)
    assert [line["event"] for line in lines(stream)] == ["feed.lost"]


def test_texts_and_fields_are_bounded(stream: io.StringIO) -> None:
    fields = {f"f{n}": n for n in range(100)}
    make_logger("info", "json", stream).info(Name.DECISION, text="x" * 1_000_000, **fields)
    (line,) = lines(stream)
    assert len(line["text"]) < TEXT_LIMIT + 50
    assert len(line) <= FIELDS_LIMIT + 4
    assert line["fields_left_off"] == 61
    assert line["event"] == "decision"


def test_secrets_do_not_show(stream: io.StringIO) -> None:
    make_logger("info", "json", stream).info(Name.DECISION, one=Secret("hunter2"), many=[Secret("hunter2")])
    assert "hunter2" not in stream.getvalue()


def test_an_exception_is_one_line(stream: io.StringIO) -> None:
    logger = make_logger("info", "json", stream)
    try:
        raise ValueError("boom")
    except ValueError:
        logger.error(Name.DAEMON_FAILED, exc_info=True)
    (line,) = lines(stream)
    assert "ValueError: boom" in line["exception"]


def test_the_console_is_readable(stream: io.StringIO) -> None:
    make_logger("info", "console", stream).info(Name.FEED_LOST, feed="main")
    assert "feed.lost" in stream.getvalue()
    assert "feed=main" in stream.getvalue()


def test_libraries_are_heard_from_warning_up(stream: io.StringIO) -> None:
    undo = capture_libraries(make_logger("info", "json", stream))
    try:
        logging.getLogger("httpx").info("chatter")
        logging.getLogger("httpx").warning("lost %s", "broker")
    finally:
        undo()
    (line,) = lines(stream)
    assert (line["event"], line["library"], line["text"]) == ("library", "httpx", "lost broker")


def test_names_are_dotted_words() -> None:
    assert all(name.value.replace(".", "").replace("_", "").islower() for name in Name)
