"""Whom a call over TLS trusts. Owns the contexts alone: reading the system's certificates outlasts many calls."""

from __future__ import annotations

import functools
import ssl

import httpx


@functools.cache
def usual() -> ssl.SSLContext:
    """What httpx trusts if it is told nothing; one for all clients of this process, which must not change it."""
    return httpx.create_ssl_context()


def trust(ca_file: str) -> ssl.SSLContext:
    """Certificates of that file, read now; the usual ones if it is empty. Raises OSError, ssl.SSLError."""
    return ssl.create_default_context(cafile=ca_file) if ca_file else usual()
