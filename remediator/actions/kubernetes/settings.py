"""How one cluster's API server is reached, and as whom. Holds no secret in the clear."""

from __future__ import annotations

import msgspec

from remediator.model.secret import Secret
from remediator.model.time import SECOND, Duration


class ClusterAccount(msgspec.Struct, frozen=True, kw_only=True):
    """url: 'https://host:6443', a path prefix allowed. ca_file: a PEM bundle instead of the system's, '' for none.

    token: of an account with get and patch of the scale subresource of deployments and statefulsets. With get of
    these themselves as well, a call whose answer was lost is proved to be ours (see `verdict`).
    timeout: of one call.
    """

    url: str
    token: Secret
    ca_file: str = ""
    timeout: Duration = 10 * SECOND
