"""From a store's URL to a store. Owns what URLs are allowed; never shows a password."""

from __future__ import annotations

from urllib.parse import unquote

from remediator.store.port import Store, StoreError
from remediator.store.sqlite import SqliteStore
from remediator.store.urls import mask_url

ALLOWED = "'sqlite:///relative/path', 'sqlite:////absolute/path' or 'postgresql://user:password@host/database'"


def open_store(url: str, *, durability: str = "FULL", max_page_count: int | None = None) -> Store:
    """A store that is still to be opened. Raises StoreError on a URL that names none.

    durability, max_page_count: SQLite only.
    """
    scheme = url.partition("://")[0]
    if scheme == "sqlite":
        return SqliteStore(sqlite_path(url), durability=durability, max_page_count=max_page_count)
    if scheme in ("postgresql", "postgres"):
        return _postgres(url)
    raise StoreError(f"{mask_url(url)!r} is not the URL of a store: write {ALLOWED}")


def sqlite_path(url: str) -> str:
    """The file that a SQLite URL names. Raises StoreError."""
    rest = url.removeprefix("sqlite://")
    if not rest.startswith("/") or len(rest) < 2:
        raise StoreError(f"{url!r} names no file: write {ALLOWED}")
    return unquote(rest[1:])


def _postgres(url: str) -> Store:
    try:
        from remediator.store.postgres import PostgresStore
    except ModuleNotFoundError as error:
        raise StoreError("the PostgreSQL store needs the extra 'postgres': install remediator[postgres]") from error
    return PostgresStore(url)
