"""安全密钥: the visitor's own keys, and the challenge for signing in with one."""

from __future__ import annotations

from starlette.responses import Response

from gateway.console import security_keys
from gateway.console.doors import door
from gateway.console.refusals import Refused
from gateway.console.roles import EVERYBODY
from gateway.console.visits import Visit
from gateway.store import console as store

_JSON = "application/json"


@door("GET", "/security-keys", roles=EVERYBODY, does="Security keys", menu="work")
async def own_keys(visit: Visit) -> Response:
    """The own keys."""
    async with visit.house.database.read() as reading:
        rows = await store.security_keys_of(reading, visit.account.name)
    why = visit.why_not("key_add", lambda: require_name(visit))
    return visit.page("security_keys.html", rows=rows, why=why)


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


@door("POST", "/security-keys/{key}/remove", roles=EVERYBODY, does="Remove a security key")
async def key_remove(visit: Visit) -> Response:
    """Forget one of the own keys."""
    try:
        credential_id = bytes.fromhex(visit.path("key"))
    except ValueError:
        raise Refused("key_refused") from None
    await security_keys.remove(visit.house, visit.account, credential_id)
    return visit.go("own_keys")


@door("POST", "/sign-in/options", roles=frozenset(), does="Challenge for signing in with a security key")
async def sign_in_options(visit: Visit) -> Response:
    """The same for everybody."""
    console = visit.console
    return Response(security_keys.sign_in_options(console.secret, console.settings, visit.now), media_type=_JSON)


def require_name(visit: Visit) -> None:
    """`Refused("keys_need_name")` where the gateway is known by an address only."""
    security_keys.host(visit.console.settings)
