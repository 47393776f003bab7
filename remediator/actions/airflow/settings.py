"""How one deployment's API is reached and how much of it one call may use. Holds no secret in the clear."""

from __future__ import annotations

import msgspec

from remediator.model.secret import Secret
from remediator.model.time import MINUTE, Duration

NO_SECRET = Secret()


class AirflowSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One deployment's API.

    base_url: 'https://host:8080' or with a path prefix; '/api/v2' and '/auth/token' are appended.
    api_version: 'v2' (Airflow 3), 'v1' (Airflow 2) or 'auto': the first that answers, found at the first call.
    username, password: exchanged for a token (v2) or sent with each call (v1); or `token`: a bearer token used as it is
    (hosted Airflow).
    ca_file: a PEM bundle to verify the server with instead of the system's.
    concurrency: calls in flight at once. requests_per_second: 0 for any number. wait_s: the longest that a call waits
    for either. page_size * max_pages: the most rows that one question reads.
    read_budget_s: what one read may take, all its tries together. max_log_bytes: the longest log that is read.
    queued_too_long, must_run: what a survey finds wrong: the time in a queue, globs over DAGs that must not be paused.
    """

    deployment: str
    base_url: str
    api_version: str = "v2"
    username: str = ""
    password: Secret = NO_SECRET
    token: Secret = NO_SECRET
    ca_file: str = ""
    connect_timeout_s: float = 5.0
    read_timeout_s: float = 20.0
    read_budget_s: float = 20.0
    read_tries: int = 3
    concurrency: int = 8
    requests_per_second: float = 0.0
    wait_s: float = 30.0
    page_size: int = 100
    max_pages: int = 20
    batch_size: int = 40
    max_response_bytes: int = 16 * 1024 * 1024
    max_log_bytes: int = 64 * 1024 * 1024
    queued_too_long: Duration = 10 * MINUTE
    must_run: tuple[str, ...] = ()
