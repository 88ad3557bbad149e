"""控制台账号: who may sign in, in which role; changed by the security administrator, seen by the audit administrator.

Rules kept here: accounts are made by the local command line; nobody changes the own account; every change is an entry and ends the
account's sessions.
"""

from __future__ import annotations

from functools import partial

from starlette.responses import Response

from gateway.console import accounts as room
from gateway.console.accounts import Account
from gateway.console.doors import door
from gateway.console.refusals import Refused
from gateway.console.roles import Role
from gateway.console.visits import Visit
from gateway.domain.vocabulary import Department
from gateway.store import console as store
from gateway.store.console_bindings import all_bindings

CHANGERS = frozenset({Role.SECURITY_ADMIN})


@door("GET", "/accounts", roles=CHANGERS | {Role.AUDIT_ADMIN}, does="Accounts", menu="system")
async def accounts(visit: Visit) -> Response:
    """Every account."""
    async with visit.house.database.read() as reading:
        rows = await store.all_accounts(reading)
        bound = {row.account for row in await all_bindings(reading)}
    shown = [
        (
            Account.of(row),
            row.locked_until > visit.now,
            visit.why_not("account_admit", partial(_not_own, visit, row.account)),
        )
        for row in rows
    ]
    return visit.page(
        "accounts.html",
        accounts=shown,
        bound=bound,
        roles={str(role): visit.tongue.word("role", role) for role in Role},
        departments=visit.tongue.words("department"),
    )


@door("POST", "/accounts/{account}/role", roles=CHANGERS, does="Give an account another role")
async def account_role(visit: Visit) -> Response:
    """Change the role."""
    role = Role(visit.chosen("role", Role))
    department = visit.chosen("department", Department, empty=True)
    chosen = Department(department) if department and role.of_department else None
    await room.change_role(visit.house, visit.path("account"), role, chosen, by=visit.account)
    return visit.go("accounts")


@door("POST", "/accounts/{account}/admit", roles=CHANGERS, does="Let an account in, or keep it out")
async def account_admit(visit: Visit) -> Response:
    """Enable or disable; enabling also unlocks."""
    enabled = visit.chosen("enabled", ("yes", "no")) == "yes"
    await room.admit(visit.house, visit.path("account"), enabled=enabled, by=visit.account)
    return visit.go("accounts")


def _not_own(visit: Visit, name: str) -> None:
    if name == visit.account.name:
        raise Refused("account_own")
