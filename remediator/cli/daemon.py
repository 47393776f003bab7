"""How commands reach a running daemon: its address, its token, one call, one clear line when it fails."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from remediator.cli.output import COULD_NOT, FINDINGS, fail, safe
from remediator.config.load import load_http
from remediator.config.settings import HttpSettings
from remediator.rules.faults import Faults

if TYPE_CHECKING:
    import httpx

TIMEOUT_S = 20.0
TOKEN_VARIABLE = "REMEDIATOR_TOKEN"  # noqa: S105  (the name of a variable)
URL_VARIABLE = "REMEDIATOR_URL"
EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104  (compared with, not bound)

ConfigOption = Annotated[
    Path | None, typer.Option("--config", "-c", help="Take address and token from this configuration file.")
]
UrlOption = Annotated[
    str | None,
    typer.Option(
        "--url",
        help=f"The daemon's address (the token is in {TOKEN_VARIABLE}); without it and --config: {URL_VARIABLE}.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def shown(url: str) -> str:
    """The address for a message, without the user and password that may be written into it."""
    scheme, found, rest = url.rpartition("://")
    authority, slash, path = rest.partition("/")
    return safe(scheme + found + authority.rpartition("@")[2] + slash + path)


class Daemon(msgspec.Struct, frozen=True):
    """Where the daemon listens, and what it asks for."""

    url: str
    token: str = ""

    def __repr__(self) -> str:
        return f"Daemon({shown(self.url)!r})"

    def get(self, path: str, key: str, **params: Any) -> Any:
        """The JSON object at a path of the API, which has `key`. Ends the command with one line if there is none."""
        return self._call("GET", path, key, params=params)

    def look_up(self, path: str, key: str) -> Any:
        """As get, but what is not there, or is there more than once, is a finding: the command ends with 1."""
        return self._call("GET", path, key, missing=FINDINGS)

    def post(self, path: str, key: str, body: dict[str, Any]) -> Any:
        """The JSON answer to a POST, which has `key`. Ends the command with one line if there is none."""
        return self._call("POST", path, key, json=body)

    def press(self, path: str, key: str, body: dict[str, Any]) -> Any:
        """As post, but what is not there, or is over, is a finding: the command ends with 1."""
        return self._call("POST", path, key, missing=FINDINGS, json=body)

    def _call(self, method: str, path: str, key: str, *, missing: int = COULD_NOT, **more: Any) -> Any:
        import httpx  # only here: a command that asks no daemon starts in a fraction of the time without it

        if not all(" " <= char <= "~" for char in self.token):
            fail(f"the token ({TOKEN_VARIABLE}, or --config) cannot be sent: it has a line break, or is not ASCII")
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        try:
            with httpx.Client(timeout=TIMEOUT_S, trust_env=False, verify=needs_tls(httpx.URL(self.url))) as client:
                response = client.request(method, self.url.rstrip("/") + path, headers=headers, **more)
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            fail(f"cannot reach remediator at {shown(self.url)}: {safe(error) or type(error).__name__}")
        if response.status_code == 401 and self.token:
            fail(f"remediator at {shown(self.url)} asks for another token than the one in {TOKEN_VARIABLE} or --config")
        if response.status_code == 401:
            fail(f"remediator at {shown(self.url)} asks for a token: set {TOKEN_VARIABLE}, or give --config")
        said = error_text(response)
        if response.status_code == 404 and said == "Not Found" and missing == COULD_NOT:
            fail(f"what answers at {shown(self.url)} has no {path}: it is not remediator, or another version of it")
        if response.status_code != 200 and said == f"HTTP {response.status_code}":
            fail(
                f"what answers at {shown(self.url)} says {said} and no more: it is not remediator, or stands before it"
            )
        if response.status_code in (404, 409):
            fail("\n".join([f"remediator says: {safe(error_text(response))}", *found_lines(response)]), missing)
        if response.status_code != 200:
            fail(f"remediator says: {safe(error_text(response))}")
        answer = answer_of(response, key)
        if answer is None:
            fail(f"what answers at {shown(self.url)} is not remediator, or another version of it")
        return answer


def needs_tls(url: httpx.URL) -> bool:
    """False for plain HTTP, where reading the system's certificates would be most of the call."""
    return url.scheme != "http"


def error_text(response: httpx.Response) -> str:
    """The text of an error answer, bounded."""
    try:
        return str(response.json()["error"])[:1_000]
    except (json.JSONDecodeError, KeyError, TypeError, UnicodeDecodeError):
        return f"HTTP {response.status_code}"


def found_lines(response: httpx.Response) -> list[str]:
    """What an error answer lists, bounded; [] for most."""
    try:
        return [f"  {safe(line)[:200]}" for line in response.json()["found"]][:50]
    except (json.JSONDecodeError, KeyError, TypeError, UnicodeDecodeError):
        return []


def answer_of(response: httpx.Response, key: str) -> dict[str, Any] | None:
    """The JSON object, which has `key`; None of anything else: another server must not be taken for a daemon."""
    try:
        answer = response.json()
    except (json.JSONDecodeError, UnicodeDecodeError):
        return None
    return answer if isinstance(answer, dict) and key in answer else None


def find_daemon(config: Path | None, url: str | None) -> Daemon:
    """The daemon that --url or --config names, else the environment, else the one at the default address.

    What is typed wins over the environment: a freeze must not reach another daemon than the one that was named.
    """
    token = os.environ.get(TOKEN_VARIABLE, "")
    if url is None and config is None:
        url = os.environ.get(URL_VARIABLE)
    if url is not None:
        return Daemon(url, token)
    if config is None:
        return Daemon(address_of(HttpSettings()), token)
    try:
        settings = load_http(config)
    except Faults as faults:
        fail(str(faults))
    return Daemon(address_of(settings), settings.token.reveal() if settings.token else token)


def address_of(settings: HttpSettings) -> str:
    """The address at which a daemon on this machine answers."""
    host = EVERYWHERE.get(settings.host, settings.host)
    return f"http://[{host}]:{settings.port}" if ":" in host else f"http://{host}:{settings.port}"
