"""What the routes answer that set states by hand: a whole dagrun's clear, a task instance's state, a pool's size."""

from __future__ import annotations

from typing import Any

from remediator.demo.fleet import bodies, clearing, render
from remediator.demo.fleet.clearing import Chosen, ClearBody, Collision
from remediator.demo.fleet.handlers import Call, Json, NotFound, Pair, Refusal, collision, pair, run_of
from remediator.demo.fleet.state import PoolSize
from remediator.model.time import Instant


def choose_rerun(call: Call) -> tuple[Json, ClearBody, Chosen]:
    """The first half of POST .../dagRuns/{r}/clear: checks and choice."""
    run = run_of(call)
    raw = bodies.checked(call.body, bodies.RUN_CLEAR)
    body = ClearBody(dry_run=raw.get("dry_run", True), dag_run_id=run.run_id, only_failed=raw.get("only_failed", False))
    return raw, body, clearing.choose(call.state, run.dag_id, body)


def finish_rerun(call: Call, raw: Json, body: ClearBody, chosen: Chosen, now: Instant) -> Json:
    """The second half: writes; the note goes to the dagrun, its task instances keep theirs."""
    run = run_of(call)
    if body.dry_run:
        rows = [render.task_instance(call.state, owner, instance) for owner, instance, _ in chosen.targets]
        return {"task_instances": rows, "total_entries": len(rows)}
    try:
        clearing.apply(call.state, chosen, body, call.user, now)
    except Collision:
        raise collision(call) from None
    if raw.get("note") is not None:
        run.note = raw["note"] or None
    return render.dag_run(call.state, run)


def patch_task(call: Call) -> Json:
    """PATCH .../taskInstances/{t}[/{index}]: sets a state or a note; without an index, of all of a mapped task's"""
    pairs = _pairs(call)
    body = bodies.checked(call.body, bodies.TASK_PATCH)
    wanted = body.get("new_state")
    changed = [(run, task) for run, task in pairs if wanted and task.state != wanted]
    if wanted and not changed:
        raise Refusal(409, f"Task id {call.path('task_id')} is already in {wanted} state")
    for _, task in pairs:
        task.note = (body["note"] or None) if "note" in body else task.note
    for run, task in changed:
        clearing.mark(call.state, run, task, str(wanted), call.now)
    return _page(call, pairs)


def would_patch_task(call: Call) -> Json:
    """PATCH .../taskInstances/{t}/dry_run"""
    pairs = _pairs(call)
    wanted = bodies.checked(call.body, bodies.TASK_PATCH).get("new_state")
    return _page(call, [(run, task) for run, task in pairs if wanted is None or task.state != wanted])


def pool(call: Call) -> Json:
    """GET /pools/{p}"""
    return render.pool(_pool(call))


def patch_pool(call: Call) -> Json:
    """PATCH /pools/{p}"""
    known = _pool(call)
    body = bodies.checked(call.body, bodies.POOL_PATCH)
    mask = call.request.query_params.getlist("update_mask")
    missing = (
        [] if known.name == "default_pool" else [name for name in ("pool", "include_deferred") if name not in body]
    )
    if missing:
        raise bodies.Invalid([bodies.missing(name, body) for name in missing])
    wanted = {name: value for name, value in body.items() if not mask or name in mask}
    known.slots = wanted.get("slots", known.slots)
    known.description = wanted.get("description", known.description)
    known.include_deferred = wanted.get("include_deferred", known.include_deferred)
    return render.pool(known)


def _pool(call: Call) -> PoolSize:
    name = call.path("pool_name")
    if name not in call.state.pools:
        raise NotFound(f"The Pool with name: `{name}` was not found")
    return call.state.pools[name]


def _pairs(call: Call) -> list[Pair]:
    task_id, index = call.path("task_id"), call.request.path_params.get("map_index")
    run = call.state.run(call.path("dag_id"), call.path("dag_run_id"))
    if run is None or index is not None:
        return [pair(call)]
    found = [(run, task) for task in run.tasks.values() if task.task_id == task_id]
    return found or [pair(call)]


def _page(call: Call, pairs: list[Pair]) -> Json:
    rows: list[dict[str, Any]] = [render.task_instance(call.state, run, task) for run, task in pairs]
    return render.page("task_instances", rows, len(rows), cursors=render.NO_CURSORS)
