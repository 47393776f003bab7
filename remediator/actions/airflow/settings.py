"""How one deployment's API is reached and how much of it one call may use. Holds no secret in the clear."""

from __future__ import annotations

import msgspec

from remediator.model.secret import Secret

NO_SECRET = Secret()


class AirflowSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One deployment's API.

    base_url: 'https://host:8080' or with a path prefix; '/api/v2' and '/auth/token' are appended.
    username, password: exchanged for a token; or `token`: a bearer token used as it is (hosted Airflow).
    ca_file: a PEM bundle to verify the server with instead of the system's.
    concurrency: calls in flight at once. page_size * max_pages: the most rows that one question reads.
    read_budget_s: what one read may take, all its tries together.
    """

    deployment: str
    base_url: str
    username: str = ""
    password: Secret = NO_SECRET
    token: Secret = NO_SECRET
    ca_file: str = ""
    connect_timeout_s: float = 5.0
    read_timeout_s: float = 20.0
    read_budget_s: float = 20.0
    read_tries: int = 3
    concurrency: int = 8
    page_size: int = 100
    max_pages: int = 20
    batch_size: int = 40
    max_response_bytes: int = 16 * 1024 * 1024
