"""One cluster's API server: the scale subresource of apps/v1, and who set it. Raises only the faults of `errors`."""

from __future__ import annotations

import asyncio
from typing import Any, TypeVar

import httpx
import msgspec

from remediator.actions.kubernetes.errors import Answered, Lost, NotSent
from remediator.actions.kubernetes.rows import ObjectRow, ScaleRow, StatusRow
from remediator.actions.kubernetes.settings import ClusterAccount
from remediator.actions.retry_after import asked_seconds
from remediator.actions.trust import trust
from remediator.model.time import SECOND

CONNECT_MAX_S = 5.0
MAX_ANSWER_BYTES = 1024 * 1024
TEXT_LIMIT = 300
METADATA_ONLY = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
MERGE_PATCH = "application/merge-patch+json"
_NEVER_SENT = (
    httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol, httpx.LocalProtocolError,
    httpx.InvalidURL,
)  # fmt: skip

UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)

T = TypeVar("T")


class ClusterClient:
    """Each call is sent once. path: '/apis/apps/v1/namespaces/…' of the workload, its parts checked by the caller."""

    def __init__(self, account: ClusterAccount) -> None:
        self._account = account
        whole_s = account.timeout / SECOND
        # No answer may unfold into something larger than it is on the wire.
        headers = {"User-Agent": "remediator", "Accept-Encoding": "identity"}
        self._http = httpx.AsyncClient(
            base_url=account.url,
            verify=trust(account.ca_file),
            timeout=httpx.Timeout(whole_s, connect=min(CONNECT_MAX_S, whole_s / 2)),
            follow_redirects=False,
            headers=headers,
        )

    async def close(self) -> None:
        """Close the connections. Idempotent."""
        await self._http.aclose()

    async def scale(self, path: str) -> ScaleRow:
        """How many replicas are wanted now."""
        return _decoded(await self._call("GET", f"{path}/scale"), ScaleRow)

    async def managers(self, path: str) -> ObjectRow:
        """Who set the workload's fields last."""
        return _decoded(await self._call("GET", path, headers={"Accept": METADATA_ONLY}), ObjectRow)

    async def set_scale(self, path: str, replicas: int, resource_version: str, manager: str) -> ScaleRow:
        """Want so many replicas. 409 if the workload has changed since it had this version."""
        body = {"metadata": {"resourceVersion": resource_version}, "spec": {"replicas": replicas}}
        answer = await self._call(
            "PATCH",
            f"{path}/scale",
            params={"fieldManager": manager},
            content=msgspec.json.encode(body),
            headers={"Content-Type": MERGE_PATCH},
        )
        return _decoded(answer, ScaleRow)

    async def _call(self, method: str, path: str, *, headers: dict[str, str] | None = None, **more: Any) -> bytes:
        sent = {b"Authorization": f"Bearer {self._account.token.reveal()}".encode()}
        sent |= {
            name.encode(): value.encode() for name, value in ({"Accept": "application/json"} | (headers or {})).items()
        }
        whole_s = self._account.timeout / SECOND
        try:
            async with asyncio.timeout(whole_s):
                status, asked, content = await self._send(self._http.build_request(method, path, headers=sent, **more))
        except TimeoutError:
            raise Lost(f"no answer within {whole_s:g} s") from None
        except _NEVER_SENT as fault:
            raise NotSent(f"not reachable: {type(fault).__name__}") from None
        except (httpx.HTTPError, httpx.StreamError) as fault:
            raise Lost(f"no whole answer: {type(fault).__name__}") from None
        if status < 300:
            return content
        raise Answered(status, self._account.token.masked_in(_message(content))[:TEXT_LIMIT], asked)

    async def _send(self, request: httpx.Request) -> tuple[int, int | None, bytes]:
        response = await self._http.send(request, stream=True)
        try:
            content = bytearray()
            async for part in response.aiter_raw():
                content += part
                if len(content) > MAX_ANSWER_BYTES:
                    raise Lost(f"the answer is larger than {MAX_ANSWER_BYTES} bytes")
        finally:
            await response.aclose()
        return response.status_code, asked_seconds(response.headers.get("retry-after")), bytes(content)


def _decoded(content: bytes, row: type[T]) -> T:
    try:
        return msgspec.json.decode(content, type=row)
    except UNREADABLE:
        raise Lost(f"the answer is not what was asked for, a {row.__name__.removesuffix('Row')}") from None


def _message(content: bytes) -> str:
    """What a Status says, or the text itself; on one line."""
    try:
        text = msgspec.json.decode(content, type=StatusRow).message
    except UNREADABLE:
        text = content.decode("utf-8", "replace")
    return " ".join(text[: 4 * TEXT_LIMIT].split())
