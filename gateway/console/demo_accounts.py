"""One account per role for the demo. They sign in by password alone, in demo mode and from loopback only.

Rules kept here: nothing is made outside demo mode or on a gateway that listens beyond loopback; passwords are random and printed
once by whoever asked.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

from gateway.console import accounts
from gateway.console.refusals import Refused
from gateway.console.roles import Role
from gateway.domain.vocabulary import Department
from gateway.flows.house import House
from gateway.settings import Settings

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_ORGANISATION = "0" * 18


@dataclass(frozen=True, slots=True)
class DemoAccount:
    """What the demo prints."""

    account: str
    role: Role
    department: Department | None
    password: str = field(repr=False)


async def make_demo_accounts(house: House, secret: bytes, settings: Settings) -> list[DemoAccount]:
    """Five accounts, one per role; auditor and policy owner are of civil affairs. Raises `Refused("demo_only")` outside
    demo mode, `Refused("account_taken")` where they were made before.
    """
    if not settings.demo or settings.host not in LOOPBACK:
        raise Refused("demo_only")
    made = []
    for number, role in enumerate(Role, start=1):
        department = Department.CIVIL_AFFAIRS if role.of_department else None
        name, password = f"demo-{role.replace('_', '-')}", secrets.token_urlsafe(12)
        await accounts.add(
            house,
            secret,
            name,
            person=f"{_ORGANISATION}/demo-{number}",
            role=role,
            department=department,
            password=password,
            by="demo",
            demo=True,
        )
        made.append(DemoAccount(name, role, department, password))
    return made
