"""Signatures: the same problem with other ids is the same, another problem is not; masking is bounded and settles."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remediator.model.event import ErrorInfo
from remediator.rules.signature import MAX_TEMPLATE, Signature, mask, signature


@pytest.mark.parametrize(
    ("text", "template"),
    [
        ("connection to 10.0.3.7:5432 failed after 30s (try 3 of 5)", "connection to <ip>:<n> failed after <n>s (try"
         " <n> of <n>)"),
        ("'customer_id'", "customer_id"),
        ('relation "orders" does not exist', 'relation "orders" does not exist'),
        ('relation "orders_20261123" does not exist', "relation <quoted> does not exist"),
        ("[Errno 111] Connection refused", "[Errno 111] Connection refused"),
        ("HTTP 503 for https://u:secret@api.example.com/v1/items/5?id=3", "HTTP 503 for https://api.example.com<path>"),
        ("exit code 137", "exit code 137"),
        ("pod load-7f9c8d6b5-x2k4q evicted on node-12", "pod load-<id>-<id> evicted on node-<n>"),
        ("job load-bcdfg is gone", "job load-<id> is gone"),
        ("db7.prod.internal did not answer", "db<n>.prod.internal did not answer"),
        ("run manual__2026-11-23T00:00:00+00:00 at 12:30:45.123", "run manual__<time> at <time>"),
        ("task 3f2504e0-4f89-11d3-9a0c-0305e82c3301 lost", "task <id> lost"),
        ("object 0x7f3a8c2b at 2001:db8::1", "object <id> at <ip>"),
        ("no file '/tmp/a b/x.csv', see /var/log/x.log", "no file <quoted>, see <path>"),
        ("s3://bucket-1/key/abc.parquet", "s3://bucket-<n><path>"),
        ("can't open Bob's file", "can't open Bob's file"),
        ("and/or std::vector 1.5GB", "and/or std::vector <n>.<n>GB"),
        ("\n\n  first \t line \nsecond 5", "first line"),
        ("", ""),
    ],
)  # fmt: skip
def test_what_varies_is_masked(text: str, template: str) -> None:
    assert mask(text) == template


def test_type_and_message_count_and_the_trace_does_not() -> None:
    one = signature(ErrorInfo("TimeoutError", "after 30s", "trace a"))
    assert one == signature(ErrorInfo("TimeoutError", "after 45s", "trace b"))
    assert one.template == "TimeoutError: after <n>s"
    assert one.id != signature(ErrorInfo("OSError", "after 30s")).id
    assert one.id != signature(ErrorInfo("TimeoutError", "before 30s")).id
    assert signature(ErrorInfo("MemoryError")).template == "MemoryError"


def test_an_error_that_says_nothing_has_no_signature() -> None:
    assert signature(None) == signature(ErrorInfo(trace="x")) == signature(ErrorInfo("", " \n ")) == Signature("", "")


ugly = st.text(st.sampled_from("ab/F7'\"`.:-_ <>n@[]()~\\,Z\n5é") | st.characters(), max_size=400)
words = st.sampled_from([
    "'a b'", "'ab'", "'", '"', "it's", "10.0.0.1", "::1", "/x/y", "~/x", "C:\\x", "http://h7/p", "2026-11-23", "12:30",
    "x2k4q", "-bcdfg", "deadbeef01", "5", "3.5", "a.b", "<n>", "<path", "errno 5", "code=404", " ", "-", "_", ":",
])  # fmt: skip


@given(ugly | st.lists(words, max_size=80).map("".join) | st.lists(words, max_size=80).map(" ".join))
def test_masking_settles_and_is_bounded(text: str) -> None:
    masked = mask(text)
    assert mask(masked) == masked
    assert len(masked) <= MAX_TEMPLATE
    found = signature(ErrorInfo(type=text, message=text))
    assert len(found.template) <= MAX_TEMPLATE


ids = st.integers(0, 10**12).map(str) | st.uuids().map(str) | st.ip_addresses(v=4).map(str)


@given(ids, ids)
def test_other_ids_make_no_other_signature_of_their_kind(one: str, other: str) -> None:
    def masked(text: str) -> str:
        return mask(f"row {text} of table customers is locked")

    kinds = {masked(one), masked(other)}
    assert kinds <= {f"row <{kind}> of table customers is locked" for kind in ("n", "id", "ip")}


@pytest.mark.parametrize("text", ["'", "1,", "::", "a-", "/a:", "http://", "1.1.1.", "\"a'b`", "a@", "0123-", "code "])
def test_time_does_not_explode(text: str) -> None:
    """A quadratic pattern over 1 MB would take minutes; only the beginning of the text is ever read."""
    assert len(mask(text * (1_000_000 // len(text)))) <= MAX_TEMPLATE
