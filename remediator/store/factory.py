"""From a store's URL to a store. Owns what URLs are allowed; never shows a password."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

from remediator.store.port import Store, StoreError
from remediator.store.sqlite import SqliteStore

ALLOWED = "'sqlite:///relative/path', 'sqlite:////absolute/path' or 'postgresql://user:password@host/database'"


def open_store(url: str, *, durability: str = "FULL", max_page_count: int | None = None, pool_size: int = 8) -> Store:
    """A store that is still to be opened. Raises StoreError on a URL that names none.

    durability, max_page_count: SQLite only; pool_size: connections, PostgreSQL only.
    """
    scheme = url.partition("://")[0]
    if scheme == "sqlite":
        return SqliteStore(_sqlite_path(url), durability=durability, max_page_count=max_page_count)
    if scheme in ("postgresql", "postgres"):
        return _postgres(url, pool_size)
    raise StoreError(f"{mask_url(url)!r} is not the URL of a store: write {ALLOWED}")


def _sqlite_path(url: str) -> str:
    rest = url.removeprefix("sqlite://")
    if not rest.startswith("/") or len(rest) < 2:
        raise StoreError(f"{url!r} names no file: write {ALLOWED}")
    return unquote(rest[1:])


def _postgres(url: str, pool_size: int) -> Store:
    try:
        from remediator.store.postgres import PostgresStore
    except ModuleNotFoundError as error:
        raise StoreError("the PostgreSQL store needs the extra 'postgres': install remediator[postgres]") from error
    return PostgresStore(url, pool_size=pool_size)


def mask_url(url: str) -> str:
    """The URL without its password and parameters, for people."""
    try:
        parts = urlsplit(url)
        place = parts.netloc.rpartition("@")
        user = place[0].partition(":")[0]
    except ValueError:
        return f"{url.partition('://')[0]}://…"
    return (
        f"{parts.scheme}://{user + ':…@' if user else ''}{place[2]}{parts.path}"
        if parts.netloc
        else f"{parts.scheme}:{parts.path}"
    )
