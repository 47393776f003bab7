"""Where and as whom http.request sends. Holds no secret in the clear: an address can be one as well."""

from __future__ import annotations

from urllib.parse import urlsplit

import msgspec

from remediator.model.action import Guarantee
from remediator.model.secret import Secret
from remediator.model.time import SECOND, Duration


class EndpointAccount(msgspec.Struct, frozen=True, kw_only=True):
    """One endpoint.

    method: 'POST' or 'PUT'. token: sent as 'Authorization: Bearer'. headers: name -> value.
    idempotency_header: carries the action's id, by which the target knows a repeat; '' if it knows none.
    timeout: of the whole call.
    """

    url: Secret
    method: str = "POST"
    token: Secret = Secret()
    headers: dict[str, Secret] = {}
    idempotency_header: str = ""
    timeout: Duration = 10 * SECOND

    @property
    def guarantee(self) -> Guarantee:
        """What holds if the answer is lost."""
        return Guarantee.KEYED if self.idempotency_header else Guarantee.AT_LEAST_ONCE

    @property
    def place(self) -> str:
        """'https://host/***': whatever else is in the address can be a secret."""
        try:
            parts = urlsplit(self.url.reveal())
        except ValueError:
            return "***"
        more = "***" if parts.path.strip("/") or parts.query else ""
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}/{more}"

    def headers_for(self, action_id: str) -> dict[bytes, bytes]:
        """What is sent beside the body, secrets in the clear."""
        sent = {name: value.reveal() for name, value in self.headers.items()}
        if self.token:
            sent["Authorization"] = f"Bearer {self.token.reveal()}"
        if self.idempotency_header:
            sent[self.idempotency_header] = action_id
        return {name.encode(): value.encode() for name, value in sent.items()}

    def masked(self, text: str) -> str:
        """`text` without what must not be seen, in case the target echoes it."""
        for secret in (self.url, self.token, *self.headers.values()):
            text = secret.masked_in(text)
        return text
