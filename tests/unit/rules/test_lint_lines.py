"""Lines of findings: those of the clauses that they are about."""

from __future__ import annotations

from pathlib import Path

from remediator.rules.lint import Finding, lint
from remediator.rules.lint_lines import located
from remediator.rules.load import load_rules, rule_paths


def found(tmp_path: Path, text: str) -> list[Finding]:
    file = tmp_path / "a.toml"
    file.write_text(text, encoding="utf-8")
    return lint(load_rules([file], None))


def test_findings_are_told_where_their_clause_is(tmp_path: Path) -> None:
    text = """[defaults]
severity = "info"
[define.late]
try_number = { gt = 3, lt = 2 }
[[rule]]
id = "a"
on = "task.failed_finaly"
[rule.where]
owner = "x"
any = [
  { dag_id = "a" },
  { "error.message" = { matches = ".*" } },
]
[[rule.do]]
action = "log"
[[rule.do]]
action = "log"
text = "{match.host}"
[[rule]]
id = "b"
on = "x"
where = { use = "late" }
do = [{ action = "log" }]
[[rule]]
id = "c"
per = []
[rule.sequence]
within = "5m"
[[rule.sequence.steps]]
on = "x"
[[rule.sequence.steps]]
on = "y"
where.try_number = { gt = 3, lt = 2 }
[[rule.do]]
action = "log"
"""
    findings = located(found(tmp_path, text), rule_paths([tmp_path / "a.toml"]))
    assert [(finding.code, finding.fault.line) for finding in findings] == [
        ("unknown-type", 7),
        ("matches-everything", 12),
        ("no-such-group", 18),
        ("never-matches", 22),
        ("never-matches", 33),
    ]


def test_findings_of_files_that_are_gone_keep_the_line_of_their_rule(tmp_path: Path) -> None:
    findings = found(tmp_path, '[[rule]]\nid = "a"\non = "task.failed_finaly"\ndo = [{ action = "log" }]')
    (tmp_path / "a.toml").unlink()
    assert located(findings, {"a.toml": tmp_path / "a.toml"}) == findings
    assert located(findings, {}) == findings
