"""安全密钥: the visitor's own keys, the challenge for signing in with one, and the word that lets one sign approvals.

Rules kept here: nobody sees or changes another's keys; a person vouches with the own key, which never comes here.
"""

from __future__ import annotations

from dataclasses import dataclass

from starlette.responses import Response

from gateway.console import security_keys
from gateway.console.doors import door
from gateway.console.refusals import Refused
from gateway.console.roles import EVERYBODY
from gateway.console.visits import Visit
from gateway.domain.canonical import canonical
from gateway.errors import Denied
from gateway.identity.approvals import subject_digest
from gateway.identity.people import standing
from gateway.identity.security_keys import Vouched
from gateway.store import console as store
from gateway.store.console import SecurityKeyRow

_JSON = "application/json"


@dataclass(frozen=True, slots=True)
class OwnKey:
    """One of the visitor's keys. vouched: None while it signs no approvals. subject, digest: what would be signed to let it."""

    row: SecurityKeyRow
    vouched: Vouched | None
    subject: str
    digest: str


@door("GET", "/security-keys", roles=EVERYBODY, does="Security keys", menu="work")
async def own_keys(visit: Visit) -> Response:
    """The own keys."""
    async with visit.house.database.read() as reading:
        rows = await store.security_keys_of(reading, visit.account.name)
    why = visit.why_not("key_add", lambda: require_name(visit))
    signs = {one.credential: one for one in visit.signing_keys}
    return visit.page(
        "security_keys.html",
        rows=[OwnKey(row, signs.get(row.credential_id), *_signed(visit, row, known=bool(why))) for row in rows],
        why=why,
        why_vouch=visit.why_not("key_vouch", lambda: require_enrolled(visit)),
    )


@door("POST", "/security-keys/options", roles=EVERYBODY, does="Challenge for a new security key")
async def key_options(visit: Visit) -> Response:
    """What the browser hands to the new key."""
    console = visit.console
    options = await security_keys.registration_options(visit.house, console.secret, console.settings, visit.account)
    return Response(options, media_type=_JSON)


@door("POST", "/security-keys", roles=EVERYBODY, does="Add a security key")
async def key_add(visit: Visit) -> Response:
    """Enter the key that answered."""
    label = visit.form.get("label", "").strip() or "key"
    answer = visit.form.get("answer", "")
    console = visit.console
    await security_keys.register(visit.house, console.secret, console.settings, visit.account, answer, label)
    return visit.go("own_keys")


@door("POST", "/security-keys/{key}/vouch", roles=EVERYBODY, does="Let a security key sign approvals")
async def key_vouch(visit: Visit) -> Response:
    """Hand in the statement by which the person vouches for the key."""
    require_enrolled(visit)
    statement = visit.statement
    await security_keys.vouch(visit.house, visit.console.settings, visit.account, _credential(visit), statement)
    return visit.go("own_keys")


@door("POST", "/security-keys/{key}/remove", roles=EVERYBODY, does="Remove a security key")
async def key_remove(visit: Visit) -> Response:
    """Forget one of the own keys."""
    await security_keys.remove(visit.house, visit.account, _credential(visit))
    visit.house.registry.forget()
    return visit.go("own_keys")


@door("POST", "/sign-in/options", roles=frozenset(), does="Challenge for signing in with a security key")
async def sign_in_options(visit: Visit) -> Response:
    """The same for everybody."""
    console = visit.console
    return Response(security_keys.sign_in_options(console.secret, console.settings, visit.now), media_type=_JSON)


def require_enrolled(visit: Visit) -> None:
    """`Denied("approver_unknown")` where no key of the visitor's person is enrolled, so nobody could vouch."""
    snapshot = visit.house.registry.current
    for kid, one in snapshot.people.items():
        named = f"{one.person.party.organisation}/{one.person.person_id}"
        if named == visit.account.person and standing(snapshot, kid, visit.now) is not None:
            return
    raise Denied("approver_unknown")


def _credential(visit: Visit) -> bytes:
    try:
        return bytes.fromhex(visit.path("key"))
    except ValueError:
        raise Refused("key_refused") from None


def _signed(visit: Visit, row: SecurityKeyRow, *, known: bool) -> tuple[str, str]:
    """(what is signed to vouch for a key, its digest); empty where the gateway has no name."""
    if known:
        return "", ""
    subject = security_keys.vouching_subject(visit.console.settings, row)
    return canonical(subject).decode(), subject_digest(subject)


def require_name(visit: Visit) -> None:
    """`Refused("keys_need_name")` where the gateway is known by an address only."""
    security_keys.host(visit.console.settings)
