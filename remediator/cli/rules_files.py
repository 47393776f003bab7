"""What the commands about rules share: their arguments, and rules loaded or every fault printed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from remediator.cli.config import print_faults
from remediator.cli.output import FINDINGS, fail
from remediator.config.load import load_config
from remediator.model.policy import Policy
from remediator.rules.faults import Fault, Faults
from remediator.rules.index import RuleSet
from remediator.rules.load import TEST_SUFFIX, load_rules, rule_files

Paths = Annotated[list[Path], typer.Argument(help="Rule files and folders.")]
ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config", "-c", help="Check against this configuration's routes and deployments; no secret is read."
    ),
]


def load_or_exit(paths: Sequence[Path], config: Path | None, *, as_json: bool) -> tuple[RuleSet, Policy | None]:
    """The rule set and the configuration's policy, None without one. Ends the command if there are faults."""
    rule_paths = [path for path in paths if not path.name.endswith(TEST_SUFFIX)]
    try:
        missing = [Fault(str(path), 0, "", "nothing there", "a file or folder") for path in paths if not path.exists()]
        if missing:
            raise Faults(missing)
        if not rule_files(rule_paths):
            fail("no rule file there: rules are *.toml that do not end in .test.toml")
        policy = load_config(config, resolve_secrets=False).policy() if config else None
        return RuleSet(load_rules(rule_paths, policy)), policy
    except Faults as faults:
        print_faults(faults, as_json=as_json)
        raise typer.Exit(FINDINGS) from None
