"""Notes on names: of fields and groups in texts, of conditions, and of what the configuration has."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from remediator.model.globs import any_covers, covers
from remediator.model.policy import Mode, Policy
from remediator.rules.changes import CHANGES
from remediator.rules.globs import is_glob
from remediator.rules.notes import Note
from remediator.rules.selection import names_of_groups
from remediator.rules.selectors import END, STAGES, members_of
from remediator.rules.spec import During, Rule
from remediator.rules.template import compile_template
from remediator.rules.texts import texts_of_params
from remediator.rules.toml import listing, near, show
from remediator.rules.types import is_misspelt, near_type, never_carried


def in_names(rule: Rule) -> Iterator[Note]:
    """Notes on the names in the rule's texts and conditions."""
    groups = [name for member, one in members_of(rule) if member != END for name in names_of_groups(one.where)]
    on = tuple(kind for member, one in members_of(rule) if member != END for kind in one.on)
    for place, text in texts_of(rule):
        for name in compile_template(text).names:
            if not _has_default(text, name):
                yield from _in_text(rule, name, place, groups, () if rule.compound else on)
    for key, some in (("during", rule.during), ("not_during", rule.not_during)):
        for one in some:
            yield from _condition(one, key)


def texts_of(rule: Rule) -> Iterator[tuple[str, str]]:
    """(place, template) of every text of a rule."""
    texts = [("title", rule.title)]
    for stage in STAGES:
        for number, step in enumerate(getattr(rule, stage), 1):
            texts += [(f"{stage} {number} text", step.text)]
            texts += [(f"{stage} {number} {place}", text) for place, text in texts_of_params(step.params)]
    for key in ("during", "not_during"):
        texts += [(f"{key} scope", one.scope) for one in getattr(rule, key)]
    yield from ((place, text) for place, text in texts if text)


def _has_default(text: str, name: str) -> bool:
    return re.search(rf"\{{\s*{re.escape(name)}\s*\|[^{{}}]*default", text) is not None


def _in_text(rule: Rule, name: str, place: str, groups: list[str], on: tuple[str, ...]) -> Iterator[Note]:
    kind, _, rest = name.partition(".")
    if kind == "match" and rest not in groups:
        allowed = listing(groups) if groups else "names of (?P<name>...) in its patterns, and it has none"
        yield Note("no-such-group", place, f"{{{name}}}, which no pattern names", allowed, near(rest, groups))
    elif name.startswith("firing.per.") and (per := name.removeprefix("firing.per.")) not in rule.per:
        allowed = listing(rule.per) if rule.per else "fields of per, and it has none"
        yield Note("no-such-name", place, f"{{{name}}}, which is not in per", allowed, near(per, rule.per))
    elif name.startswith("rule.labels.") and (label := name.removeprefix("rule.labels.")) not in rule.labels:
        allowed = listing(rule.labels) if rule.labels else "labels of the rule, and it has none"
        yield Note("no-such-name", place, f"{{{name}}}, which is no label", allowed, near(label, rule.labels))
    elif kind == "event" and never_carried(on, rest):
        found = f"{{{name}}}, which events of {', '.join(on)} do not carry"
        yield Note("not-carried", place, found, 'fields that they have, or | default("...")')


def _condition(one: During, key: str) -> Iterator[Note]:
    name = one.condition
    if is_misspelt(name):
        found = f"{show(name)}, which no codec gives"
        yield Note("unknown-condition", f"{key} condition", found, "conditions such as node.not_ready", near_type(name))


# Under a configuration ----------------------------------------------------------------------------------------------


def under_policy(rule: Rule, policy: Policy) -> Iterator[Note]:
    """Notes on what the configuration does not have, and on rules that it does not let act."""
    for place, where in wheres_of(rule):
        for written in _deployments(where):
            if not any(_fits(written, name) for name in policy.deployments):
                hint = "" if is_glob(written) else near(written, policy.deployments)
                found = f"{show(written)}, which no deployment or infrastructure is"
                yield Note("unknown-deployment", f"{place} deployment", found, listing(policy.deployments), hint)
    changes = dict.fromkeys(step.action for step in rule.do if step.action in CHANGES)
    refused = [action for action in changes if not _is_allowed(rule, action, policy)]
    if rule.mode is Mode.ACT and refused:
        owner = show(rule.owner) if rule.owner else "no owner"
        found = f'mode = "act", but no [[allow]] for {listing(refused)} of {rule.file} of {owner}'
        yield Note("not-allowed", "mode", found, "an [[allow]] in the configuration that fits, or another mode")


def may_respond(rule: Rule, policy: Policy) -> bool:
    """Whether the rule changes nothing, or the policy lets it change anything anywhere."""
    changes = [step.action for step in rule.do if step.action in CHANGES]
    return not changes or any(_is_allowed(rule, action, policy) for action in changes)


def _is_allowed(rule: Rule, action: str, policy: Policy) -> bool:
    return not policy.allow or any(
        any_covers(allow.files, rule.file)
        and any_covers(allow.owners, rule.owner)
        and any_covers(allow.actions, action)
        for allow in policy.allow
    )


def wheres_of(rule: Rule) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """(place, table) of every where and if of a rule."""
    for member, selector in members_of(rule):
        yield ("where" if member == "on" else f"{member} where"), selector.where
    for stage in STAGES:
        for number, step in enumerate(getattr(rule, stage), 1):
            yield f"{stage} {number} if", step.condition


def _deployments(where: Mapping[str, Any]) -> Iterator[str]:
    """What the table wants deployment to be; nothing that it wants it not to be."""
    for name, raw in where.items():
        if name in ("any", "all"):
            for table in raw:
                yield from _deployments(table)
        elif name == "deployment":
            yield from filter(_is_text, _wanted(raw))


def _wanted(raw: Any) -> list[Any]:
    if isinstance(raw, dict):
        return [one for name in ("equals", "in", "glob") if name in raw for one in _wanted(raw[name])]
    return raw if isinstance(raw, list) else [raw]


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _fits(written: str, name: str) -> bool:
    return written == name or (is_glob(written) and covers(written, name))
