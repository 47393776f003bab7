"""Masking: secrets of known shapes go, prose stays, and no text makes it slow."""

from __future__ import annotations

import time

import pytest

from remediator.codecs.masking import is_secret_key, mask
from remediator.codecs.text import masked_head, masked_tail

PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEAsecretsecret\nabcd==\n-----END RSA PRIVATE KEY-----"
JWT = "eyJhbGciOiJIUzUxMiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJlLXNpZ25hdHVyZQ"


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("password=hunter2", "password=***"),
        ("PASSWORD = 'hunter 2' x", "PASSWORD = *** x"),
        ('{"token": "abc def", "a": 1}', '{"token": ***, "a": 1}'),
        (r"{\"password\": \"hun ter2\", \"a\": 1}", r"{\"password\": ***, \"a\": 1}"),
        ("{'db_password': 'it\\'s', 'a': 1}", "{'db_password': ***, 'a': 1}"),
        ("PGPASSWORD=hunter2 psql", "PGPASSWORD=*** psql"),
        ("aws_secret_access_key: wJalrXUtnFEMI/K7MDENG", "aws_secret_access_key: ***"),
        ("client_secret=>s3cr3t;x=1", "client_secret=>***;x=1"),
        ("run --api-key hunter2 --verbose", "run --api-key *** --verbose"),
        ("<password>hunter2</password>", "<password>***</password>"),
        ("Authorization: Bearer abc.def-123", "Authorization: ***"),
        ("{'Authorization': 'Basic dXNlcjpwdw=='}", "{'Authorization': ***}"),
        ("sent Bearer abc.def-123 to", "sent Bearer *** to"),
        ("postgres://user:pw@host/db", "postgres://***@host/db"),
        ("postgres://user:p@w@host/db", "postgres://***@host/db"),
        ("postgres://user:p/w@host/db", "postgres://***@host/db"),
        ("https://ghost@host", "https://***@host"),
        ("kafka://a:b@h1,kafka://c:d@h2", "kafka://***@h1,kafka://***@h2"),
        ("key AKIAIOSFODNN7EXAMPLE.", "key ***."),
        (f"x {PEM} y", "x *** y"),
        (PEM[:60], "***"),
        ("xoxb-1234567890-abcdef", "***"),
        ("ghp_0123456789abcdefghijABCDEFGHIJ012345", "***"),
        ("github_pat_11ABCDEFG0123456789_abcdef", "***"),
        (f"got {JWT}!", "got ***!"),
        ("https://hooks.slack.com/services/T0/B0/abc", "https://hooks.slack.com/***"),
        ("https://x.blob.example/c?sv=1&sig=abc%3D&se=2", "https://x.blob.example/c?sv=1&sig=***&se=2"),
    ],
)
def test_secrets_go(text: str, masked: str) -> None:
    assert mask(text) == masked


@pytest.mark.parametrize(
    "text",
    [
        "",
        "connection reset by peer",
        "KeyError: 'token'",
        "botocore.exceptions.NoCredentialsError: Unable to locate credentials",
        "jwt.exceptions.InvalidTokenError: the signature is wrong",
        'File "/opt/x/token_utils.py", line 3, in refresh_token',
        "basic authentication failed",
        "http://host:8080/pkg@1.2/x?a=b@c.example",
        "http://airflow.example/dags/d/runs/manual__2026-11-22T06%3A51/tasks/t?try_number=1",
        "s3://lake/raw/orders",
        "monkey: 3, hockey=4",
    ],
)
def test_prose_stays(text: str) -> None:
    assert mask(text) == text


@pytest.mark.parametrize("name", ["password", "db_password", "Authorization", "apiKey", "X-Api-Key", "slack_token"])
def test_secret_names(name: str) -> None:
    assert is_secret_key(name)
    assert not is_secret_key("region")


def test_a_secret_is_masked_before_the_cut() -> None:
    text = "x" * 90 + " password=hunter2"
    assert "hunter" not in masked_tail(text, 7)
    assert "AKIA" not in masked_head("x" * 90 + " AKIAIOSFODNN7EXAMPLE", 100)


@pytest.mark.parametrize(
    "unit", ["password=", "a://b@", "-----BEGIN A PRIVATE KEY-----", "eyJ.", '"', "\\", "token: \\", "bearer x ", "://"]
)
def test_no_text_makes_it_slow(unit: str) -> None:
    """A quadratic pattern would take minutes for this; the bound only has to tell the two apart."""
    text = unit * (200_000 // len(unit))
    started = time.process_time()
    mask(text)
    assert time.process_time() - started < 10
