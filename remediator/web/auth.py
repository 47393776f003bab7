"""Who may use the API: holders of the token, or, without one, whoever is on this machine and no web page."""

from __future__ import annotations

from hmac import compare_digest

from starlette.requests import Request

from remediator.model.secret import Secret

LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})


def objection(request: Request, token: Secret | None) -> tuple[int, str] | None:
    """(status, why not), or None if the request may go on.

    Without a token the host named in the request must be this machine's: a page that a browser was lured to, with a
    name that resolves to loopback, names another one.
    """
    if token is None:
        if request.url.hostname in LOCAL_HOSTS:
            return None
        return 403, "without a token only requests to localhost are answered"
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and compare_digest(given.strip().encode(), token.reveal().encode()):
        return None
    return 401, "a valid bearer token is needed"


def known_by(token: Secret | None) -> str:
    """How whoever sent an admitted request was known: what the audit writes beside the name that they gave."""
    return "api token" if token is not None else "this machine, no token"
