"""An HTTP client of a server on this machine: plain HTTP, past any proxy, the system's certificates not read."""

from __future__ import annotations

from typing import Any

import httpx


def loopback_client(url: str = "", **more: Any) -> httpx.AsyncClient:
    """More: as for httpx.AsyncClient."""
    return httpx.AsyncClient(base_url=url, trust_env=False, verify=False, **more)
