"""Tokens and roles as the simple auth manager has them. Pure; tokens carry no secret."""

from __future__ import annotations

from dataclasses import dataclass, field

VIEWER = "viewer"


class Denied(Exception):  # noqa: N818
    """A call that is not allowed: status and detail as Airflow answers them."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


@dataclass(slots=True)
class Accounts:
    """Users with password and role ('admin', 'viewer', …), and the tokens that were given out."""

    users: dict[str, tuple[str, str]] = field(default_factory=lambda: {"admin": ("admin", "admin")})
    _valid: dict[str, str] = field(default_factory=dict)
    _expired: set[str] = field(default_factory=set)
    issued: int = 0

    def login(self, username: object, password: object) -> str:
        """A new token. Raises Denied."""
        known = self.users.get(str(username))
        if known is None or known[0] != password:
            raise Denied(401, "Invalid credentials")
        self.issued += 1
        token = f"fleet.{username}.{self.issued}"
        self._valid[token] = str(username)
        return token

    def accept(self, token: str, username: str) -> None:
        """Let a token that came from elsewhere (hosted Airflow) pass as this user's."""
        self._valid[token] = username

    def expire_all(self) -> None:
        """Every token so far answers 401 from now on."""
        self._expired |= self._valid.keys()
        self._valid.clear()

    def forget_all(self) -> None:
        """Every token so far answers 403 from now on, as after a change of the signing key."""
        self._valid.clear()

    def user_of(self, authorization: str, *, changes: bool) -> str:
        """The user of an Authorization header who may make this call. Raises Denied."""
        kind, _, token = authorization.partition(" ")
        if kind.lower() != "bearer" or not token:
            raise Denied(401, "Not authenticated")
        if token in self._expired:
            raise Denied(401, "Token Expired")
        user = self._valid.get(token)
        if user is None:
            raise Denied(403, "Invalid JWT token")
        if changes and self.users.get(user, ("", "admin"))[1] == VIEWER:
            raise Denied(403, "Forbidden")
        return user
