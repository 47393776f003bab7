"""`remediator rules new`: a draft rule with its test for failures that no rule knew."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from remediator.cli.daemon import JsonOption, UrlOption
from remediator.cli.output import fail, safe, say, say_json
from remediator.cli.unmatched import ConfigOption, EventsOption, RulesOption, find_unmatched
from remediator.codecs.masking import mask
from remediator.model.event import ErrorInfo
from remediator.rules.draft import Draft, UndraftableError, draft
from remediator.rules.load import SUFFIX, TEST_SUFFIX
from remediator.rules.unmatched import Group

SignatureOption = Annotated[
    str, typer.Option("--from-signature", "-s", help="Its id as `remediator unmatched` prints it, or the beginning.")
]
OutOption = Annotated[Path | None, typer.Option("--out", "-o", help="Write both files to this folder.")]
SinceOption = Annotated[str, typer.Option("--since", help="How far back a daemon looks.")]


def new(
    from_signature: SignatureOption,
    out: OutOption = None,
    url: UrlOption = None,
    config: ConfigOption = None,
    events: EventsOption = None,
    rules: RulesOption = None,
    since: SinceOption = "90d",
    as_json: JsonOption = False,
) -> None:
    """Draft a rule that only observes, and a test of it, from what unmatched failures have in common."""
    found = find_unmatched(url, config, events, rules, since, as_json=as_json)
    group = _without_secrets(_one(found.groups, from_signature))
    try:
        made = draft(group, found.route)
    except UndraftableError as error:
        fail(f"{safe(from_signature)}: {error}")
    written = [] if out is None else _write(out, made)
    if as_json:
        say_json({"id": made.name, "signature": group.id, "rule": made.rule, "test": made.test, "written": written})
    elif written:
        for name in written:
            say(f"wrote {name}")
        say(f"next: decide what its comments ask, then remediator rules test {out}")
    else:
        say(f"# {made.name}{SUFFIX}\n{made.rule}\n# {made.name}{TEST_SUFFIX}\n{made.test}".rstrip())


def _one(groups: list[Group], wanted: str) -> Group:
    fitting = [group for group in groups if wanted and group.id.startswith(wanted)]
    exact = [group for group in fitting if group.id == wanted]
    if not fitting:
        fail(f"--from-signature {safe(wanted)}: no unmatched failure has it; remediator unmatched lists them")
    if len(exact or fitting) > 1:
        fail(f"--from-signature {safe(wanted)}: {len(fitting)} signatures begin so; give more of it")
    return (exact or fitting)[0]


def _without_secrets(group: Group) -> Group:
    """What is written here is meant to be committed."""
    error = group.example.error
    kind, message = (None if text is None else mask(text) for text in (error.type, error.message))
    example = msgspec.structs.replace(group.example, error=ErrorInfo(kind, message))
    return msgspec.structs.replace(group, example=example, template=mask(group.template))


def _write(folder: Path, made: Draft) -> list[str]:
    """Both files, neither over another one."""
    files = [(folder / f"{made.name}{SUFFIX}", made.rule), (folder / f"{made.name}{TEST_SUFFIX}", made.test)]
    for path, _ in files:
        if path.exists():
            fail(f"{path} is there already")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, text in files:
            path.write_text(text, "utf-8")
    except OSError as error:
        fail(f"{folder}: {error.strerror}")
    return [str(path) for path, _ in files]
