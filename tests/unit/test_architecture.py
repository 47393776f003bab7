"""The shape of the code, read from its syntax trees: who imports whom, what the core may know, how long a file gets."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LONGEST_FILE = 400
SHORT_ENOUGH_TO_NEED_NO_DOCSTRING = 30

ADAPTERS = {"codecs", "sources", "store", "actions", "web"}
BELOW_CLI = {"model", "rules", "engine", "config", "runtime", "backtest", "demo", "testing", *ADAPTERS}
MAY_IMPORT: dict[str, set[str]] = {
    "": {"cli"},
    "model": set(),
    "rules": {"model"},
    "engine": {"model", "rules"},
    "codecs": {"model"},
    "sources": {"model"},
    "store": {"model"},
    "actions": {"model"},
    "web": {"model"},
    "config": {"model", "rules"},
    "runtime": {"model", "rules", "engine", "config", *ADAPTERS},
    "backtest": {"model", "rules", "engine", "config", "runtime", "codecs", "sources"},
    "demo": BELOW_CLI,
    "testing": BELOW_CLI,
    "cli": BELOW_CLI,
}
EXCEPTIONS: dict[tuple[str, str], str] = {
    ("web", "remediator.store.port"): "the console shows what the store's read side returns",
    ("config", "remediator.codecs.deployments"): "a configured deployment is what the codec looks deployments up in",
}
PURE = {"model", "rules", "engine"}
IMPURE_MODULES = {
    "asyncio", "concurrent", "http", "httpx", "aiohttp", "logging", "os", "random", "secrets", "selectors", "socket",
    "structlog", "subprocess", "threading", "time", "uuid", "urllib",
}  # fmt: skip
CLOCK_READS = {"now", "utcnow", "today"}
LONGER_FILES: dict[str, int] = {
    "tests/unit/actions/test_airflow_executors.py": 640,
}
"""Each with the length that it must not outgrow."""
SLEEPERS: dict[str, str] = {
    "tests/acceptance/harness.py": "waits for the daemon, which is another process",
    "tests/airflow/eventually.py": "asks a real Airflow until it says so",
    "tests/airflow/processes.py": "waits for another process, which raises no event here",
    "tests/contract/airflow/airflow_cases.py": "asks a real Airflow until it says so",
    "tests/support/kafka.py": "waits for another process, which raises no event here",
    "tests/unit/actions/test_airflow_stand_in.py": "asks an HTTP server until it says so",
}
MUTATORS = {"append", "add", "clear", "discard", "extend", "insert", "pop", "popitem", "remove", "setdefault", "update"}
MUTABLE_MAKERS = {"list", "dict", "set", "bytearray", "defaultdict", "deque", "Counter", "OrderedDict"}


@dataclass(frozen=True)
class Module:
    """One source file."""

    path: Path

    @property
    def place(self) -> str:
        return self.path.relative_to(ROOT).as_posix()

    @property
    def package(self) -> str:
        """The package below remediator; empty for the top-level module."""
        parts = self.path.relative_to(ROOT / "remediator").parts
        return parts[0] if len(parts) > 1 else ""

    @property
    def lines(self) -> int:
        return len(self.path.read_text("utf-8").splitlines())

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.path.read_text("utf-8"), self.place)

    def imports(self) -> Iterator[str]:
        """Absolute names of all that is imported anywhere in the module, in functions too."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                yield node.module
                if node.module == "remediator":
                    yield from (f"remediator.{alias.name}" for alias in node.names if alias.name in MAY_IMPORT)

    def relative_imports(self) -> list[int]:
        return [node.lineno for node in ast.walk(self.tree) if isinstance(node, ast.ImportFrom) and node.level]


def modules_below(*folders: str) -> list[Module]:
    found = [Module(path) for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    assert found, folders
    return found


SOURCES = modules_below("remediator")
PURE_SOURCES = [module for module in SOURCES if module.package in PURE]


def all_of(modules: list[Module], faults: Callable[[Module], list[str]]) -> list[str]:
    return [f"{module.place}: {fault}" for module in modules for fault in faults(module)]


def forbidden_imports(module: Module) -> list[str]:
    allowed = MAY_IMPORT[module.package] | {module.package}
    return [
        name
        for name in module.imports()
        if name.startswith("remediator.")
        and name.split(".")[1] not in allowed
        and (module.package, name) not in EXCEPTIONS
    ]


def test_every_package_has_a_rule() -> None:
    assert {module.package for module in SOURCES} == set(MAY_IMPORT)


def test_imports_point_one_way() -> None:
    assert all_of(SOURCES, forbidden_imports) == []


def test_nothing_is_imported_relatively() -> None:
    assert all_of(SOURCES, lambda module: [f"line {line}" for line in module.relative_imports()]) == []


@pytest.mark.parametrize(("package", "target"), EXCEPTIONS)
def test_each_exception_is_still_needed(package: str, target: str) -> None:
    assert any(target in module.imports() for module in SOURCES if module.package == package)


def test_executors_do_not_know_each_other() -> None:
    def faults(module: Module) -> list[str]:
        own = module.path.relative_to(ROOT / "remediator" / "actions").parts[0]
        siblings = {path.name for path in (ROOT / "remediator" / "actions").iterdir() if path.is_dir()} - {own}
        return [name for name in module.imports() if {*name.split(".")[2:3]} & siblings and ".actions." in name]

    inside = [module for module in SOURCES if module.package == "actions" and module.path.parent.name != "actions"]
    assert inside
    assert all_of(inside, faults) == []


def test_the_core_imports_nothing_impure() -> None:
    def faults(module: Module) -> list[str]:
        return [name for name in module.imports() if name.split(".")[0] in IMPURE_MODULES]

    assert all_of(PURE_SOURCES, faults) == []


def test_the_core_is_never_async() -> None:
    asynchronous = ast.AsyncFunctionDef | ast.Await | ast.AsyncFor | ast.AsyncWith

    def faults(module: Module) -> list[str]:
        return [f"line {node.lineno}" for node in ast.walk(module.tree) if isinstance(node, asynchronous)]

    assert all_of(PURE_SOURCES, faults) == []


def test_the_core_reads_no_clock() -> None:
    def faults(module: Module) -> list[str]:
        calls = [node for node in ast.walk(module.tree) if isinstance(node, ast.Call)]
        return [
            f"line {call.lineno}"
            for call in calls
            if isinstance(call.func, ast.Attribute)
            and call.func.attr in CLOCK_READS
            and ast.unparse(call.func.value) in {"datetime", "date", "datetime.datetime", "datetime.date"}
        ]

    assert all_of(PURE_SOURCES, faults) == []


def test_every_module_says_what_it_is_for() -> None:
    def faults(module: Module) -> list[str]:
        silent = ast.get_docstring(module.tree) is None
        return [f"{module.lines} lines"] if silent and module.lines > SHORT_ENOUGH_TO_NEED_NO_DOCSTRING else []

    assert all_of(SOURCES, faults) == []


def test_no_file_is_long() -> None:
    def faults(module: Module) -> list[str]:
        allowed = LONGER_FILES.get(module.place, LONGEST_FILE)
        return [f"{module.lines} lines, at most {allowed}"] if module.lines > allowed else []

    assert all_of(modules_below("remediator", "tests"), faults) == []


@pytest.mark.parametrize("place", LONGER_FILES)
def test_each_longer_file_is_still_long(place: str) -> None:
    path = ROOT / place
    assert path.exists()
    assert Module(path).lines > LONGEST_FILE


def test_modules_keep_no_state() -> None:
    assert all_of(SOURCES, module_state) == []


def module_state(module: Module) -> list[str]:
    """Mutable values bound at module level, unless they are registries: dict or set literals that nothing changes."""
    found = [f"line {node.lineno}: global" for node in ast.walk(module.tree) if isinstance(node, ast.Global)]
    for name, value, line in module_level_values(module.tree.body):
        if name == "__all__":
            continue
        if is_registry(value):
            found += [f"line {at}: {name} is changed" for at in changes_of(name, module.tree)]
        elif is_mutable(value):
            found.append(f"line {line}: {name}")
    return found


def module_level_values(body: list[ast.stmt]) -> Iterator[tuple[str, ast.expr, int]]:
    for node in body:
        if isinstance(node, ast.Assign):
            yield from ((ast.unparse(target), node.value, node.lineno) for target in node.targets)
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            yield ast.unparse(node.target), node.value, node.lineno
        elif isinstance(node, ast.If):
            yield from module_level_values(node.body + node.orelse)
        elif isinstance(node, ast.Try):
            yield from module_level_values(node.body + node.orelse + node.finalbody)


def is_registry(value: ast.expr) -> bool:
    return isinstance(value, ast.DictComp | ast.Set) or (isinstance(value, ast.Dict) and bool(value.keys))


def is_mutable(value: ast.expr) -> bool:
    if isinstance(value, ast.Call):
        called = value.func.attr if isinstance(value.func, ast.Attribute) else ast.unparse(value.func)
        return called in MUTABLE_MAKERS
    return isinstance(value, ast.Dict | ast.List | ast.ListComp | ast.SetComp)


def changes_of(name: str, tree: ast.Module) -> Iterator[int]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Subscript) and not isinstance(node.ctx, ast.Load):
            changed = node.value
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in MUTATORS:
            changed = node.func.value
        else:
            continue
        if ast.unparse(changed) == name:
            yield node.lineno


def sleeps(module: Module) -> list[str]:
    """Calls of sleep; `sleep(0)` lets others run and waits for nothing."""
    found = [
        f"line {node.lineno}: from {node.module} import sleep"
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ImportFrom) and any(alias.name == "sleep" for alias in node.names)
    ]
    calls = [node for node in ast.walk(module.tree) if isinstance(node, ast.Call)]
    for call in calls:
        lets_run = bool(call.args) and isinstance(call.args[0], ast.Constant) and call.args[0].value == 0
        if ast.unparse(call.func) in {"time.sleep", "asyncio.sleep"} and not lets_run:
            found.append(f"line {call.lineno}: {ast.unparse(call)}")
    return found


def test_tests_do_not_sleep() -> None:
    modules = [module for module in modules_below("tests") if "dags" not in module.path.parts]
    assert all_of([module for module in modules if module.place not in SLEEPERS], sleeps) == []


@pytest.mark.parametrize("place", SLEEPERS)
def test_each_sleeper_is_still_one(place: str) -> None:
    path = ROOT / place
    assert path.exists()
    assert sleeps(Module(path))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("seen = []", ["line 1: seen"]),
        ("seen: dict[str, int] = {}", ["line 1: seen"]),
        ("from collections import deque\nlast = deque()", ["line 2: last"]),
        ("if True:\n    seen = set()", ["line 2: seen"]),
        ("KINDS = {'a'}\nKINDS.add('b')", ["line 2: KINDS is changed"]),
        ("KINDS = {'a': 1}", []),
        ("KINDS = {'a': 1}\ndef learn() -> None:\n    KINDS['b'] = 2", ["line 3: KINDS is changed"]),
        ("KINDS = {'a': 1}\nKINDS.update(b=2)", ["line 2: KINDS is changed"]),
        ("n = 1\ndef count() -> None:\n    global n\n    n += 1", ["line 3: global"]),
        ("NAMES = ('a', 'b')\nSET = frozenset({'a'})", []),
    ],
)
def test_the_state_check_sees_state(tmp_path: Path, text: str, expected: list[str]) -> None:
    path = tmp_path / "module.py"
    path.write_text(text)

    @dataclass(frozen=True)
    class Elsewhere(Module):
        @property
        def place(self) -> str:
            return self.path.name

    assert module_state(Elsewhere(path)) == expected
