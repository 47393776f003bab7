"""Proposals, audit and report over real HTTP: what is journalled, once, in whose name."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from remediator.cli.approvals import shown_lines
from remediator.cli.audit import row_of
from remediator.model.inputs import Pressed
from remediator.model.secret import Secret
from remediator.model.time import HOUR
from remediator.runtime.metrics import Metrics
from remediator.store.audit import AuditEntry, AuditHead, Verifier
from remediator.web.app import build_app
from remediator.web.server import serving
from tests.support.loopback import loopback_client
from tests.unit.web.accounts import NOW, Accounts

BEARER = {"Authorization": "Bearer t0ken"}
ID = "a1b2c3d4e5f60718293a4b5c"
OTHER = "a1b2ffffffffffffffffffff"
ADA = {"actor": "ada (cli)", "reason": "go"}


@pytest.fixture
def accounts() -> Accounts:
    return Accounts()


@pytest.fixture
async def api(accounts: Accounts) -> AsyncIterator[httpx.AsyncClient]:
    app = build_app(accounts, Metrics("9"), Secret("t0ken"))  # type: ignore[arg-type]
    async with serving(app) as running, loopback_client(f"{running.url}/api/v1", headers=BEARER) as client:
        yield client


async def _answer(api: httpx.AsyncClient, proposal: str, command: str = "approve", **body: Any) -> httpx.Response:
    return await api.post(f"/proposals/{proposal}/{command}", json={**ADA, **body})


async def test_proposals_are_listed_until_they_expire(api: httpx.AsyncClient, accounts: Accounts) -> None:
    assert (await api.get("/proposals")).json() == {"proposals": []}
    await accounts.ask(ID)
    [one] = (await api.get("/proposals")).json()["proposals"]
    assert (one["id"], one["action"], one["incident"], one["expires_in_s"]) == (ID, "airflow.retry", "i1", 3600.0)
    accounts.now = NOW + HOUR
    assert (await api.get("/proposals")).json() == {"proposals": []}


async def test_one_proposal_is_shown_without_an_active_rule_set_too(api: httpx.AsyncClient, accounts: Accounts) -> None:
    await accounts.ask(ID)
    [listed] = (await api.get("/proposals")).json()["proposals"]
    shown = (await api.get(f"/proposals/{ID[:6]}")).json()
    assert shown.items() >= listed.items()
    assert shown["preview"] == {"text": "", "affects": 0, "refused": "", "error": "no rule set is active yet"}
    assert "would do    NOT KNOWN, nobody could tell: no rule set is active yet" in "\n".join(shown_lines(shown))
    assert (await api.get(f"/proposals/{OTHER}")).status_code == 404
    accounts.now = NOW + HOUR
    assert (await api.get(f"/proposals/{ID}")).status_code == 409


async def test_a_question_that_was_answered_says_by_whom(api: httpx.AsyncClient, accounts: Accounts) -> None:
    await accounts.ask(ID)
    await _answer(api, ID)
    shown = await api.get(f"/proposals/{ID}")
    assert shown.status_code == 409
    assert "was approved by ada (cli) (api token) at" in shown.json()["error"]


async def test_an_answer_is_journalled_once_with_who_and_how_they_were_known(
    api: httpx.AsyncClient, accounts: Accounts
) -> None:
    await accounts.ask(ID)
    first = await _answer(api, ID)
    assert first.json() == {"proposal": ID, "command": "approve", "actor": "ada (cli) (api token)",
                            "at": "2027-01-15T08:00:00.000000Z", "repeated": False}  # fmt: skip
    again = await asyncio.gather(*(_answer(api, ID, reason="again") for _ in range(3)))
    assert [one.status_code for one in again] == [200] * 3
    assert all(one.json()["repeated"] for one in again)
    assert await accounts.presses() == [Pressed("ada (cli) (api token)", "approve", "go", ID, "dag:prod/orders")]
    assert accounts.woken_times == 1
    [link] = (await api.get("/audit")).json()["entries"]
    assert link["entry"] == {
        "event": "command", "actor": "ada (cli) (api token)", "what": "approve", "why": "go", "target": "prod",
        "subject": f"airflow.retry: orders {ID}", "incident": "i1", "proposal": ID,
    }  # fmt: skip


async def test_two_answers_at_once_are_one(api: httpx.AsyncClient, accounts: Accounts) -> None:
    await accounts.ask(ID)
    answers = await asyncio.gather(_answer(api, ID), _answer(api, ID, "reject"), _answer(api, ID))
    assert sorted(one.status_code for one in answers) in ([200, 200, 409], [200, 409, 409])
    assert len(await accounts.presses()) == 1


async def test_what_cannot_be_answered_says_why(api: httpx.AsyncClient, accounts: Accounts) -> None:
    await accounts.ask(ID, OTHER)
    assert (await _answer(api, "0123456789")).status_code == 404
    assert (await _answer(api, "a1b")).status_code == 404, "too short to be meant"
    several = await _answer(api, "a1b2")
    assert (several.status_code, "2 proposals" in several.json()["error"]) == (404, True)
    assert (await _answer(api, "a1b2c")).json()["proposal"] == ID
    other = await _answer(api, ID, "reject")
    assert (other.status_code, "was approved by ada" in other.json()["error"]) == (409, True)
    accounts.now = NOW + HOUR
    late = await _answer(api, OTHER)
    assert (late.status_code, "expired at 2027-01-15T09:00" in late.json()["error"]) == (409, True)
    assert [one.subject for one in await accounts.presses()] == [ID]


@pytest.mark.parametrize("body", [{}, {"actor": ""}, {"actor": " "}, {"actor": 1}, {"actor": "a", "as": "b"}])
async def test_a_bad_answer_is_a_clear_error(api: httpx.AsyncClient, accounts: Accounts, body: dict[str, Any]) -> None:
    await accounts.ask(ID)
    answer = await api.post(f"/proposals/{ID}/approve", json=body)
    assert (answer.status_code, "allowed:" in answer.json()["error"]) == (400, True)
    assert await accounts.presses() == []


async def test_an_answer_that_is_no_text_is_a_clear_error(api: httpx.AsyncClient, accounts: Accounts) -> None:
    await accounts.ask(ID)
    headers = {"Content-Type": "application/json"}
    answer = await api.post(f"/proposals/{ID}/approve", content=b'{"actor": "caf\xe9"}', headers=headers)
    assert (answer.status_code, "allowed:" in answer.json()["error"]) == (400, True)
    assert await accounts.presses() == []


async def test_nothing_without_the_token(api: httpx.AsyncClient, accounts: Accounts) -> None:
    await accounts.ask(ID)
    api.headers.pop("Authorization")
    assert (await _answer(api, ID)).status_code == 401
    for path in ("/proposals", "/audit", "/report"):
        assert (await api.get(path)).status_code == 401
    assert await accounts.presses() == []


async def test_the_audit_comes_in_pages_that_can_be_verified(api: httpx.AsyncClient, accounts: Accounts) -> None:
    params = {"body": {"n": 1.5, "ü": [None, 10**17, "\u2028"]}}
    entries = [
        AuditEntry(event="wanted", actor="rule r", what="http.request", why=str(n), params=params) for n in range(5)
    ]
    for n, entry in enumerate(entries):
        await accounts.store.append([], NOW + n, audit=[entry])
    pages = [(await api.get("/audit", params={"after": after, "limit": 2})).json() for after in (0, 2, 4)]
    verifier = Verifier(AuditHead(**pages[0]["head"]))
    for page in pages:
        verifier.take([row_of(link) for link in page["entries"]])
    assert verifier.end() == []
    assert verifier.checked == 5
    young = (await api.get("/audit", params={"since": "2027-01-15T08:00:00.000003Z"})).json()["entries"]
    assert [link["seq"] for link in young] == [4, 5]


@pytest.mark.parametrize("query", ["after=x", "after=-1", "limit=0", "limit=2001", "since=yesterday", "after=²"])
async def test_a_bad_page_is_a_clear_error(api: httpx.AsyncClient, query: str) -> None:
    assert (await api.get(f"/audit?{query}")).status_code == 400


async def test_a_report_of_nothing(api: httpx.AsyncClient) -> None:
    report = (await api.get("/report", params={"since": "1h"})).json()
    assert report["counts"]["healed"] == 0
    assert report["rules"] == report["unclassified"] == []
    assert report["since"] == "2027-01-15T07:00:00.000000Z"
    assert (await api.get("/report", params={"since": "1y"})).status_code == 400
