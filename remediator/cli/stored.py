"""The store of a configuration, for commands that read it without a daemon. Never makes one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from remediator.store.factory import sqlite_path
from remediator.store.port import StoreError

if TYPE_CHECKING:
    from remediator.store.port import Store


def stored(config: Path) -> Store:
    """Not opened yet. Raises Faults, and StoreError for a file that is not there: opening would make an empty one."""
    from remediator.config.load import load_config  # only here: the other commands start without them
    from remediator.runtime.wiring import make_store

    loaded = load_config(config)
    url = loaded.store.full_url().reveal()
    if url.startswith("sqlite:") and not Path(sqlite_path(url)).exists():
        path = Path(sqlite_path(url))
        hint = "" if path.is_absolute() else f"; [store] url is relative to the working directory, {Path.cwd()}"
        raise StoreError(f"{path}: there is no such file{hint}")
    return make_store(loaded)
