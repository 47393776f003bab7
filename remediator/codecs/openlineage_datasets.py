"""Datasets and checks of an OpenLineage event: names, the assets that Airflow prints, and one event for each."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

import msgspec

from remediator.codecs.attributes import bounded
from remediator.codecs.masking import mask
from remediator.codecs.openlineage_wire import Dataset, RunEvent, Test
from remediator.codecs.text import ID_CHARS, MAX_DATASETS, cut, without_unsafe_chars
from remediator.model.event import Event

_PRINTED_CHARS = 16_384
"""`ast.literal_eval` is safe for any text, but not cheap: 30 µs for one asset, against 4 µs for the whole record."""
_MAX_CACHED = 512
_DOTTED_SCHEMES = frozenset({"postgres", "postgresql", "mysql", "trino", "snowflake", "mssql", "redshift"})
"""Databases whose dataset names OpenLineage joins by dots, where an asset's URI has slashes."""
_CHECK_TYPES = {"pass": "check.passed", "fail": "check.failed"}


class AssetNames:
    """Names of the assets that Airflow prints as Python lists. A task prints the same at every run: they are kept."""

    def __init__(self) -> None:
        self._cache: dict[str, tuple[str, ...]] = {}

    def of(self, printed: str | None) -> tuple[str, ...]:
        """Names out of "[{'uri': 's3://lake/raw', 'type': 'asset', …}, …]"; none out of anything else."""
        if printed is None or printed == "[]" or len(printed) > _PRINTED_CHARS:
            return ()
        known = self._cache.get(printed)
        return known if known is not None else self._remember(printed)

    def _remember(self, printed: str) -> tuple[str, ...]:
        names = tuple(dict.fromkeys(map(_asset_name, _printed_uris(printed))))
        if len(self._cache) >= _MAX_CACHED:
            self._cache.clear()
        self._cache[printed] = names
        return names


def dataset_names(datasets: list[Dataset] | None, assets: tuple[str, ...]) -> tuple[str, ...]:
    """'namespace/name' of the datasets, then the assets that are not among them."""
    if not datasets:
        return assets
    names = dict.fromkeys(_dataset_name(dataset) for dataset in datasets[:MAX_DATASETS])
    return tuple(names | dict.fromkeys(assets))[:MAX_DATASETS]


def update_events(event: Event) -> list[Event]:
    """One dataset.updated for each output of an event that reports success."""
    return [_derived(event, "dataset.updated", name, {}) for name in event.outputs]


def check_events(event: Event, wire: RunEvent) -> list[Event]:
    """One check.passed, check.failed or check.skipped for each assertion on data that the event reports."""
    run_facets = wire.run.facets if wire.run else None
    tests = run_facets.test.tests if run_facets and run_facets.test else None
    checks = [_test_event(event, test) for test in tests or ()]
    for dataset in (*(wire.inputs or ()), *(wire.outputs or ())):
        checks.extend(_assertion_events(event, dataset))
    return checks[:MAX_DATASETS]


def _dataset_name(dataset: Dataset) -> str:
    name = f"{dataset.namespace}/{dataset.name}"
    return (mask(name) if "@" in name or "=" in name else name)[:ID_CHARS]


def _printed_uris(printed: str) -> Iterable[str]:
    try:
        assets = ast.literal_eval(printed)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return
    for asset in assets[:MAX_DATASETS] if isinstance(assets, list) else ():
        if isinstance(asset, dict) and isinstance(asset.get("uri"), str):
            yield without_unsafe_chars(asset["uri"])


def _asset_name(uri: str) -> str:
    """The name that the provider's converter would give: deployments without it must agree with those that have it."""
    try:
        parts = urlsplit(uri)
    except ValueError:
        return mask(uri)[:ID_CHARS]
    if parts.scheme == "file":
        uri = f"file/{parts.path}"
    elif parts.scheme in _DOTTED_SCHEMES and parts.netloc:
        uri = f"{parts.scheme}://{parts.netloc}/{parts.path.strip('/').replace('/', '.')}"
    return mask(uri)[:ID_CHARS]


def _test_event(event: Event, test: Test) -> Event:
    params = test.params or {}
    table, column = params.get("tested_table"), params.get("tested_column")
    status = (test.status or "").lower()
    return _check(event, _CHECK_TYPES.get(status, "check.skipped"), test, test.name, table, column)


def _assertion_events(event: Event, dataset: Dataset) -> Iterable[Event]:
    """Assertions are an input facet by the standard, but producers also put them among the common ones."""
    name = _dataset_name(dataset)
    for facets in (dataset.input_facets, dataset.facets):
        for said in (facets.assertions.assertions or ()) if facets and facets.assertions else ():
            if said.success is not None:
                kind = "check.passed" if said.success else "check.failed"
                yield _check(event, kind, said, said.assertion, name, said.column)


def _check(event: Event, kind: str, said: Any, name: Any, dataset: Any, column: Any) -> Event:
    facts = {
        "name": name,
        "expected": said.expected,
        "actual": said.actual,
        "dataset": dataset,
        "column": column,
        "severity": said.severity,
    }
    attributes = bounded({key: value for key, value in facts.items() if value is not None})
    subject = attributes.get("dataset") or attributes.get("name")
    return _derived(event, kind, subject if isinstance(subject, str) else None, attributes)


def _derived(event: Event, kind: str, subject: str | None, attributes: dict[str, Any]) -> Event:
    """What the event says of one dataset: same time and origin, without what concerns the task alone."""
    return msgspec.structs.replace(
        event, type=kind, subject=cut(subject), attributes=attributes, error=None, inputs=(), outputs=()
    )
