"""What the routes of backfills answer: dagruns created or cleared, date by date, one open backfill for each DAG."""

from __future__ import annotations

from remediator.demo.fleet import bodies, clearing, render
from remediator.demo.fleet.backfills import runs_of
from remediator.demo.fleet.clearing import ClearBody
from remediator.demo.fleet.handlers import Call, Json, NotFound, Refusal
from remediator.demo.fleet.listing import paging
from remediator.demo.fleet.plan import DagSpec
from remediator.demo.fleet.state import BackfillRecord, FleetState
from remediator.model.time import Instant, format_instant, parse_instant


def create(call: Call) -> Json:
    """POST /backfills"""
    body, spec = _body(call)
    if any(each.dag_id == spec.dag_id and each.completed_at is None for each in call.state.backfills.values()):
        raise Refusal(409, f"There is already a running backfill for dag {spec.dag_id}")
    first, last = _range(body, call.now)
    dates = _dates(spec, first, last, call.now)
    if not dates:
        span = f"[{_text(first).replace('T', ' ')}, {_text(last).replace('T', ' ')}]"
        raise bodies.Invalid(f"No runs to create for Dag {spec.dag_id} in the range {span}")
    made = _record(call.state, spec, body, (first, last), call.now)
    for date in dates:
        _begin(call.state, spec, made, date, call)
    return render.backfill(made)


def plan(call: Call) -> Json:
    """POST /backfills/dry_run"""
    body, spec = _body(call)
    first, last = _range(body, call.now)
    wanted = body.get("reprocess_behavior", "none")
    dates = [date for date in _dates(spec, first, last, call.now) if _is_due(call.state, spec, date, wanted)]
    rows = [{"logical_date": render.at(date), "partition_key": None, "partition_date": None} for date in dates]
    return {"backfills": rows, "total_entries": len(rows)}


def listed(call: Call) -> Json:
    """GET /backfills?dag_id="""
    query = call.request.query_params
    if "dag_id" not in query:
        raise bodies.Invalid([{**bodies.missing("dag_id", None), "loc": ["query", "dag_id"]}])
    rows = [each for each in call.state.backfills.values() if each.dag_id == query["dag_id"]]
    rows.sort(key=lambda each: each.id, reverse=query.get("order_by", "").startswith("-"))
    ask = paging(query, "id")
    shown = [render.backfill(each) for each in rows[ask.offset : ask.offset + ask.limit]]
    return {"backfills": shown, "total_entries": len(rows)}


def get(call: Call) -> Json:
    """GET /backfills/{id}"""
    return render.backfill(_known(call))


def cancel(call: Call) -> Json:
    """PUT /backfills/{id}/cancel: what is queued fails without an event, what runs goes on"""
    known = _known(call)
    if known.completed_at is not None:
        raise Refusal(409, "Backfill is already completed.")
    for run in runs_of(call.state, known.id):
        if run.state == "queued":
            call.state.set_run_state(run, "failed", call.now)
    known.is_paused, known.completed_at, known.updated_at = True, call.now, call.now
    return render.backfill(known)


def _body(call: Call) -> tuple[Json, DagSpec]:
    body = bodies.required(bodies.checked(call.body, bodies.BACKFILL), "dag_id", "from_date", "to_date")
    spec = call.state.dags.get(body["dag_id"])
    if spec is None:
        raise NotFound(f"Could not find dag {body['dag_id']}")
    if not spec.every:
        raise bodies.Invalid(f"{spec.dag_id} has a non-periodic schedule that does not support backfills")
    return body, spec


def _range(body: Json, now: Instant) -> tuple[Instant, Instant]:
    first, last = parse_instant(body["from_date"]), parse_instant(body["to_date"])
    if first > last:
        raise bodies.Invalid(f"from_date ({_text(first)}) must not be after to_date ({_text(last)}).")
    if first >= now and last >= now:
        raise bodies.Invalid("Backfill cannot be executed for future dates.")
    return first, last


def _dates(spec: DagSpec, first: Instant, last: Instant, now: Instant) -> list[Instant]:
    return [date for date in spec.dates(first, last) if spec.interval(date)[1] < now]


def _is_due(state: FleetState, spec: DagSpec, date: Instant, reprocess: str) -> bool:
    run = state.dated(spec.dag_id, date)
    if run is None:
        return True
    wanted = {"none": frozenset[str](), "failed": frozenset({"failed"}), "completed": frozenset({"failed", "success"})}
    return run.state in wanted[reprocess]


def _record(
    state: FleetState, spec: DagSpec, body: Json, span: tuple[Instant, Instant], now: Instant
) -> BackfillRecord:
    number = len(state.backfills) + 1
    reprocess, most = body.get("reprocess_behavior", "none"), body.get("max_active_runs", 10)
    made = BackfillRecord(number, spec.dag_id, *span, reprocess, most, body.get("dag_run_conf"), now, now)
    state.backfills[number] = made
    return made


def _begin(state: FleetState, spec: DagSpec, made: BackfillRecord, date: Instant, call: Call) -> None:
    if not _is_due(state, spec, date, made.reprocess):
        return
    run = state.dated(spec.dag_id, date)
    if run is None:
        run_id = f"backfill__{_text(date)}"
        run = state.add_run(spec.dag_id, run_id, call.now, run_type="backfill", logical_date=date)
    else:
        body = ClearBody(dry_run=False, dag_run_id=run.run_id, only_failed=False)
        clearing.apply(state, clearing.choose(state, spec.dag_id, body), body, call.user, call.now)
    run.backfill, run.run_type = made.id, "backfill"
    run.conf = run.conf if made.conf is None else dict(made.conf)


def _known(call: Call) -> BackfillRecord:
    known = call.state.backfills.get(int(call.path("backfill_id")))
    if known is None:
        raise NotFound("Backfill not found")
    return known


def _text(moment: Instant) -> str:
    return format_instant(moment).replace(".000000", "").replace("Z", "+00:00")
