"""The broker of the session."""

from __future__ import annotations

from tests.support.broker_fixtures import embedded_broker

__all__ = ["embedded_broker"]
