"""The stand-in over HTTP: who may do what, and the routes of apps/v1 that remediator uses. No state of its own."""

from __future__ import annotations

import json

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from remediator.demo.cluster.state import Body, ClusterState, Workload, object_of, scale_of, status
from remediator.demo.misbehaving import Misbehaving

GET_SCALE, PATCH_SCALE, GET_OBJECT = "get scale", "patch scale", "get"
"""What the fault plan and `forbidden` call the routes."""
PLACE = "/apis/apps/v1/namespaces/{namespace}/{plural}/{name}"
MERGE_PATCH = "application/merge-patch+json"


class Cluster:
    """token: the only one that is known. forbidden: routes that its account may not use."""

    def __init__(self, token: str = "") -> None:
        self.state = ClusterState()
        self.token = token
        self.forbidden: set[str] = set()
        self.trouble = Misbehaving()

    def app(self) -> Starlette:
        """The ASGI application."""
        return Starlette(
            routes=[
                Route(f"{PLACE}/scale", self._get_scale, methods=["GET"]),
                Route(f"{PLACE}/scale", self._patch_scale, methods=["PATCH"]),
                Route(PLACE, self._get, methods=["GET"]),
            ]
        )

    async def _get_scale(self, request: Request) -> Response:
        return await self._answer(GET_SCALE, request, b"")

    async def _patch_scale(self, request: Request) -> Response:
        return await self._answer(PATCH_SCALE, request, await request.body())

    async def _get(self, request: Request) -> Response:
        return await self._answer(GET_OBJECT, request, b"")

    async def _answer(self, route: str, request: Request, body: bytes) -> Response:
        def act() -> Response:
            code, said = self._done(route, request, body)
            return JSONResponse(said, status_code=code)

        return await self.trouble.answer(route, act)

    def _done(self, route: str, request: Request, body: bytes) -> tuple[int, Body]:
        place = request.path_params
        if self.token and request.headers.get("authorization") != f"Bearer {self.token}":
            return status(401, "Unauthorized")
        if route in self.forbidden:
            verb, what = route.split()[0], f'{place["plural"]}.apps "{place["name"]}"'
            return status(403, f'{what} is forbidden: User "remediator" cannot {verb} resource')
        workload = self.state.workloads.get((place["namespace"], place["plural"], place["name"]))
        if workload is None:
            return status(404, f'{place["plural"]}.apps "{place["name"]}" not found')
        return self._of(workload, route, request, body)

    def _of(self, workload: Workload, route: str, request: Request, body: bytes) -> tuple[int, Body]:
        if route == GET_SCALE:
            return 200, scale_of(workload)
        if route == GET_OBJECT:
            return 200, object_of(workload)
        if request.headers.get("content-type") != MERGE_PATCH:
            return status(415, "the body of the request was in an unknown format")
        try:
            patch = json.loads(body)
        except ValueError:
            return status(400, "the body is not JSON")
        return self.state.patch(workload, patch, request.query_params.get("fieldManager", ""))
