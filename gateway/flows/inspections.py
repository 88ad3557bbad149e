"""What anybody may check (receipts, checkpoint, tiles, keys), and what an auditor may ask; an auditor's look is an entry."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any

from gateway.audit.reading import Question, actor_history, child_history, open_detail, page
from gateway.audit.receipts import make_receipt
from gateway.audit.serving import read_path
from gateway.domain.canonical import canonical
from gateway.domain.subjects import Child
from gateway.domain.vocabulary import EntryKind, Outcome
from gateway.errors import BadRequest, Denied, GatewayFault
from gateway.flows.account import Account, recorded
from gateway.flows.house import House
from gateway.flows.inbox import spend_proof
from gateway.flows.opening import opened
from gateway.flows.query import Answer
from gateway.flows.recognise import recognise
from gateway.flows.requests import EntriesRequest, HistoryRequest, SignedRequest
from gateway.store.audit import get_head
from gateway.store.children import earlier_names
from gateway.store.database import Reading
from keys.selftest import report

AUDITOR = "auditor"


async def receipt(house: House, index: int) -> bytes:
    """The leaf of an entry and its tlog-proof. `BadRequest("entry_unknown")`."""
    async with house.database.read() as reading:
        made = await make_receipt(reading, index)
    return canonical(
        {
            "origin": made.origin,
            "index": made.index,
            "size": made.size,
            "state": made.state,
            "leaf": base64.b64encode(made.leaf).decode(),
            "proof": made.proof,
        }
    )


async def checkpoint(house: House) -> bytes:
    """The newest signed tree head, C2SP form."""
    async with house.database.read() as reading:
        head = await get_head(reading)
    if head is None:
        raise GatewayFault("log_head_invalid")
    return head.checkpoint


async def tile(house: House, path: str) -> bytes:
    """A tile or an entry bundle by its C2SP path. `BadRequest("not_found")`."""
    async with house.database.read() as reading:
        return await read_path(reading, path)


async def sender_key(house: House, kid: str) -> bytes:
    """A sender's public key and the log entry that announced it. `BadRequest("not_found")`."""
    async with house.database.read() as reading:
        await house.registry.refresh(reading)
    key = house.registry.find_sender_key(kid)
    if key is None:
        raise BadRequest("not_found")
    body: dict[str, object] = {"kid": key.kid, "party": key.party.text, "active": key.active, "jwk": key.jwk}
    if key.entry_index is not None:
        body["entry"] = key.entry_index
    return canonical(body)


async def suites(house: House, signed: SignedRequest) -> bytes:
    """Every algorithm with provider, version and the result of its known-answer test."""
    async with house.database.read() as reading:
        authenticated = await house.authenticator.authenticate(
            signed.method, signed.path, signed.headers, signed.body, officer_required=False, reading=reading
        )
    await spend_proof(house, authenticated.proof_id)
    return canonical({"suites": [asdict(check) for check in report()]})


async def entries(house: House, signed: SignedRequest, read: Callable[[bytes], EntriesRequest]) -> Answer:
    """Entries by keyset, newest first. Skeletons only: they link nobody."""

    async def find(account: Account, reading: Reading) -> list[dict[str, Any]]:
        request = read(signed.body)
        question = Question(
            kind=request.kind or "",
            exchange=request.exchange or "",
            door=request.door or "",
            purpose=request.purpose or "",
            outcome=request.outcome or "",
            code=request.code or "",
            requester=str(request.department or ""),
            provider=str(request.provider or ""),
            from_us=max(request.since_us, 0),
            until_us=request.until_us,
            after=request.after if request.after >= 0 else None,
            limit=request.limit,
        )
        account.references["looked_at"] = question.pattern
        return [{"index": row.index, "leaf": row.leaf.decode()} for row in await page(reading, question)]

    return await _look(house, signed, find)


async def history(house: House, signed: SignedRequest, read: Callable[[bytes], HistoryRequest]) -> Answer:
    """A child's whole history: the indexes of its entries, oldest first, with the opened details."""

    async def find(account: Account, reading: Reading) -> list[dict[str, Any]]:
        recognised = await recognise(house, account, None, read(signed.body).subject, reading)
        assert isinstance(recognised.subject, Child)
        account.children = (recognised.subject.key,)
        keeper = house.log.keeper
        # A child that had an issued name before has two histories; both are the child's.
        names = [recognised.subject.key, *await earlier_names(reading, recognised.subject.key)]
        found = {row.index: row for name in names for row in await child_history(reading, keeper, name)}
        return [
            {
                "index": index,
                "leaf": found[index].leaf.decode(),
                "detail": await open_detail(reading, keeper, found[index], names),
            }
            for index in sorted(found)
        ]

    return await _look(house, signed, find)


async def actors_history(house: House, signed: SignedRequest, read: Callable[[bytes], str]) -> Answer:
    """Every entry that a client or a person had a part in, oldest first; skeletons only: they name no child."""

    async def find(account: Account, reading: Reading) -> list[dict[str, Any]]:
        name = read(signed.body)
        account.references["looked_at"] = name
        rows = await actor_history(reading, house.log.keeper, name)
        return [{"index": row.index, "leaf": row.leaf.decode()} for row in rows]

    return await _look(house, signed, find)


async def _look(
    house: House, signed: SignedRequest, find: Callable[[Account, Reading], Awaitable[list[dict[str, Any]]]]
) -> Answer:
    """What every look of an auditor is: for auditors only, and an entry of its own. find: the entries to show."""
    async with opened(house, signed, EntryKind.AUDIT_QUERY) as (account, reading):
        require_auditor(account)
        body = canonical({"entries": await find(account, reading)})
    async with recorded(house.log, account):
        made = await house.log.append(
            account.draft(Outcome.DONE, answer=body), effect=account.effect(), proof_id=account.proof_id
        )
    return Answer(body, made)


def require_auditor(account: Account) -> None:
    """Auditors act in the function `auditor`; nobody else sees what others did."""
    officer = account.caller.officer
    if officer is None or officer.function != AUDITOR:
        raise Denied("auditor_only")
