"""Secrets: named in the file, never written in it. Reads environment and files; shows no value in any fault."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from remediator.model.secret import Secret
from remediator.rules.toml import Table, kind_of

ALLOWED = '{ env = "NAME" } or { file = "/path" }'
FILE_LIMIT = 65_536


class SecretReader:
    """Resolves `{ env = … }` against `environ` and `{ file = … }` against the folder `base`.

    environ None: nothing is resolved, every secret that is named well reads as an empty one (for checks in CI).
    """

    def __init__(self, environ: Mapping[str, str] | None, base: Path) -> None:
        self._environ = environ
        self._base = base

    def read(self, table: Table, key: str) -> Secret | None:
        """The secret at `key`; None if it is absent or faulty."""
        value = table.raw(key)
        if value is None:
            return None
        if not isinstance(value, dict):
            table.fault(key, f"{kind_of(value)} written into the file", ALLOWED)
            return None
        named = table.table(key)
        name, file = named.text("env"), named.text("file")
        named.close()
        if bool(name) == bool(file):
            table.fault(key, "both env and file" if name else "neither env nor file", ALLOWED)
            return None
        if self._environ is None:
            return Secret("")
        return _from_env(table, key, name, self._environ) if name else self._from_file(table, key, file)

    def _from_file(self, table: Table, key: str, file: str) -> Secret | None:
        allowed = "a readable file with one line of text"
        try:
            body = (self._base / file).read_bytes()
            value = body[: FILE_LIMIT + 1].decode("utf-8").strip()
        except OSError as error:
            table.fault(key, f"file {file}: {error.strerror or type(error).__name__}", allowed)
            return None
        except ValueError:
            table.fault(key, f"file {file}, which is not text", allowed)
            return None
        if not value or len(value) > FILE_LIMIT or "\n" in value:
            table.fault(key, f"file {file}, which is empty, too long or has several lines", allowed)
            return None
        return Secret(value)


def _from_env(table: Table, key: str, name: str, environ: Mapping[str, str]) -> Secret | None:
    value = environ.get(name, "")
    if not value:
        table.fault(key, f"environment variable {name}, which is not set", "a variable that is set and not empty")
        return None
    return Secret(value)
