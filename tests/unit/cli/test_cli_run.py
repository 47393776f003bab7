"""`remediator run`, where it cannot begin."""

from __future__ import annotations

import socket
from pathlib import Path

from typer.testing import CliRunner

from remediator.cli.main import build


def test_an_address_that_is_taken_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    config = tmp_path / "remediator.toml"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        config.write_text(
            '[[feed]]\nname = "main"\nbootstrap_servers = ["127.0.0.1:1"]\ntopics = ["t"]\n'
            f'[store]\nurl = "sqlite:///{tmp_path}/r.db"\n[http]\nport = {port}\n'
        )
        result = CliRunner().invoke(build(), ["run", "--config", str(config)])
    assert result.exit_code == 2
    *logged, told = result.stderr.splitlines()
    assert all(line.startswith("{") for line in logged)
    assert told.startswith(f"{config}: [http] host, port: cannot listen at 127.0.0.1 port {port}: Address ")
    assert told.count(str(port)) == 1
