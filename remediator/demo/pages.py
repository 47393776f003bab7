"""The examples of docs/stories.md, scripted ones and some of the demo's own: `python -m remediator.demo.pages`.

Owns the page's marked parts; what stands between them is written by hand. Ids and times are made the same in every run.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from hashlib import blake2b
from pathlib import Path

from remediator.demo.files import CONFIG
from remediator.demo.main import Options
from remediator.demo.scripts import SCRIPTS, Script, ground_of, told_incident
from remediator.model.incident import Incident, Phase
from remediator.model.reasons import Reason
from remediator.runtime.story import incident_story
from remediator.runtime.story_action import action_story
from remediator.runtime.story_text import story_json, text_lines
from remediator.runtime.surface_story import Storyteller
from remediator.store.factory import open_store
from remediator.store.port import Store
from remediator.testing.timeline import START

PAGE = Path("docs/stories.md")
BEGIN, END = "<!-- begin {} -->\n", "<!-- end {} -->\n"
DEMO_SECONDS, DEMO_SEED = 45, 1
INCIDENTS = 500
_ID = re.compile(r"\b[0-9a-f]{24}\b")
_SHORT = re.compile(r"(?<=\[action )[0-9a-f]{12}(?=\])|(?<=rule set     )[0-9a-f]{12}\b")
_TIME = re.compile(r"(?<!\d)(20\d\d-\d\d-\d\d)([ T])(\d\d)(:|%3A)(\d\d)\4(\d\d)(?:\.\d+)?")


def scripted(script: Script) -> str:
    """One scripted story, and those of its actions that it names, as the page shows them."""
    line = script.play()
    incident = told_incident(line)
    ground = ground_of(line, incident)
    told = [("incident", incident.id, list(text_lines(story_json(incident_story(ground)))))]
    for kind in script.actions:
        row = next(row for row in ground.actions if row.action.kind == kind)
        told.append(("action", row.action.id, list(text_lines(story_json(action_story(ground, row))))))
    return section(script.name, script.title, script.intro, told)


def section(name: str, title: str, intro: str, told: Sequence[tuple[str, str, Sequence[str]]]) -> str:
    """A heading, a sentence, and each story in a block. told: (incident or action, its id, its lines)."""
    parts = [f"### {title}\n\n{intro}\n"]
    for what, its_id, lines in told:
        body = "\n".join(line.rstrip() for line in lines)
        parts.append(f"```console\n$ remediator explain --{what} {its_id}\n{body}\n```\n")
    return with_ids(name, "\n".join(parts))


def with_ids(seed: str, text: str) -> str:
    """The text with ids that do not change when the program does: made of the seed and their order."""
    new: dict[str, str] = {}

    def name(given: str) -> str:
        known = next((one for one in new if one.startswith(given)), given)
        if known not in new:
            new[known] = blake2b(f"{seed}/{len(new)}".encode(), digest_size=12).hexdigest()
        return new[known][: len(given)]

    text = _ID.sub(lambda found: name(found[0]), text)
    return _SHORT.sub(lambda found: name(found[0]), text)


def with_times(text: str, began: str) -> str:
    """The text with its times moved so that `began` becomes the scripts' beginning; fractions are dropped."""
    start = datetime.fromisoformat("1970-01-01") + timedelta(microseconds=START)
    shift = start - datetime.fromisoformat(began.removesuffix("Z")).replace(microsecond=0)

    def moved(found: re.Match[str]) -> str:
        at = datetime.fromisoformat(f"{found[1]}T{found[3]}:{found[5]}:{found[6]}") + shift
        return at.strftime(f"%Y-%m-%d{found[2]}%H{{0}}%M{{0}}%S").format(found[4])

    return _TIME.sub(moved, text)


# -- the demo -----------------------------------------------------------------------------------------------------


def recorded(folder: Path) -> dict[str, str]:
    """Part -> text, of what the demo did and left in the folder."""
    return asyncio.run(_recorded(f"sqlite:///{folder / 'remediator.db'}"))


async def _recorded(url: str) -> dict[str, str]:
    store = open_store(url)
    await store.open()
    try:
        teller = Storyteller(store, lambda: time.time_ns() // 1_000)
        found: dict[str, str] = {}
        for name, title, intro, wanted in DEMO_PARTS:
            incident = await _first(store, wanted)
            if incident is not None:
                found[name] = await _told(store, teller, incident, name, title, intro)
        return found
    finally:
        await store.close()


DEMO_PARTS: tuple[tuple[str, str, str, tuple[frozenset[Reason], frozenset[Reason]]], ...] = (
    ("demo-healed", "A lost connection, healed", "Read from a topic, cleared over the API, proved by a look.",
     (frozenset({Reason.HELPED}), frozenset({Reason.DID_NOT_HELP, Reason.FOUND_BY_LOOK, Reason.PAGED}))),
    ("demo-paged", "A fault that no rule knows", "A person is paged at once.",
     (frozenset({Reason.UNCLASSIFIED, Reason.PAGED}), frozenset({Reason.FOUND_BY_LOOK, Reason.RETRY_ISSUED}))),
    ("demo-unheard", "A process that was killed", "No event told of it; a sweep found it.",
     (frozenset({Reason.FOUND_BY_LOOK, Reason.PAGED}), frozenset({Reason.RETRY_ISSUED}))),
)  # fmt: skip
"""(part, title, sentence, (reasons that the story has, reasons that it has not))."""


async def _first(store: Store, wanted: tuple[frozenset[Reason], frozenset[Reason]]) -> Incident | None:
    """The shortest ended story of the first episode that fits."""
    fitting: list[tuple[int, int, Incident]] = []
    for incident in await store.incidents(open_only=False, limit=INCIDENTS):
        decisions = await store.decisions(incident.id, INCIDENTS)
        reasons = {one.reason for one in decisions}
        if (
            incident.phase is Phase.RESOLVED
            and incident.episode == 1
            and wanted[0] <= reasons
            and not wanted[1] & reasons
        ):
            fitting.append((len(decisions), incident.opened_at, incident))
    return min(fitting, key=lambda one: one[:2])[2] if fitting else None


async def _told(store: Store, teller: Storyteller, incident: Incident, name: str, title: str, intro: str) -> str:
    found = await teller.incident(incident.id)
    told = [("incident", incident.id, list(text_lines(found["story"])))]
    for row in await store.actions(incident.id, INCIDENTS):
        if row.action.kind == "airflow.retry":
            view = await teller.action(row.action.id)
            told.append(("action", row.action.id, list(text_lines(view["story"]))))
            break
    return with_times(section(name, title, intro, told), found["story"]["began"])


# -- the page -----------------------------------------------------------------------------------------------------


def with_parts(page: str, parts: dict[str, str]) -> str:
    """The page with these parts. Raises ValueError for one that it has no place for."""
    for name, text in parts.items():
        begin, end = BEGIN.format(name), END.format(name)
        if begin not in page or end not in page:
            raise ValueError(f"the page has no place for {name!r}: {begin.strip()} … {end.strip()}")
        before, _, rest = page.partition(begin)
        page = before + begin + text + end + rest.partition(end)[2]
    return page


def all_scripted() -> dict[str, str]:
    """Every scripted part."""
    return {script.name: scripted(script) for script in SCRIPTS}


def _demo_parts() -> Iterator[tuple[str, str]]:
    from remediator.demo.show import perform  # only here: the scripted parts need no broker

    with tempfile.TemporaryDirectory(prefix="remediator-stories-") as name:
        options = Options(seconds=DEMO_SECONDS, seed=DEMO_SEED, headless=True, json=False, keep=None, port=None)
        if perform(options, Path(name)) == 0 and (Path(name) / CONFIG).exists():
            yield from recorded(Path(name)).items()


def main(arguments: Iterable[str]) -> int:
    """Write the page anew. Returns 1 if the demo brought no example for one of its parts: the old one stays."""
    parser = argparse.ArgumentParser(prog="python -m remediator.demo.pages", description="Write docs/stories.md anew.")
    parser.add_argument("--page", type=Path, default=PAGE)
    parser.add_argument("--demo", action="store_true", help=f"run the demo too ({DEMO_SECONDS} s) for its parts")
    options = parser.parse_args(list(arguments))
    parts = all_scripted()
    if options.demo:
        parts.update(_demo_parts())
    options.page.write_text(with_parts(options.page.read_text("utf-8"), parts), "utf-8")
    missing = [name for name, *_ in DEMO_PARTS if options.demo and name not in parts]
    for name in missing:
        print(f"the demo brought no example for {name}: run it once more", file=sys.stderr)
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
