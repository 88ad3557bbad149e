"""三员分立: the roles of the console, and what keeps them apart.

Rules kept here: an account has one role; the three administrators exclude each other, also across the accounts of one person; an
auditor and a policy owner belong to one department, an administrator to none.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from gateway.console.refusals import Refused
from gateway.domain.vocabulary import Department


class Role(StrEnum):
    """Who works at the console."""

    SYSTEM_ADMIN = "system_admin"
    SECURITY_ADMIN = "security_admin"
    AUDIT_ADMIN = "audit_admin"
    AUDITOR = "auditor"
    POLICY_OWNER = "policy_owner"

    @property
    def of_department(self) -> bool:
        """Whether an account of this role belongs to a department."""
        return self in (Role.AUDITOR, Role.POLICY_OWNER)


EVERYBODY = frozenset(Role)
ADMINISTRATORS = frozenset({Role.SYSTEM_ADMIN, Role.SECURITY_ADMIN, Role.AUDIT_ADMIN})
INSPECTORS = frozenset({Role.AUDIT_ADMIN, Role.AUDITOR})
# Who judges the use of others' power may hold none of it.
_EXCLUDES = {
    Role.SYSTEM_ADMIN: ADMINISTRATORS | {Role.AUDITOR},
    Role.SECURITY_ADMIN: ADMINISTRATORS | {Role.AUDITOR},
    Role.AUDIT_ADMIN: ADMINISTRATORS | {Role.POLICY_OWNER},
    Role.AUDITOR: frozenset({Role.SYSTEM_ADMIN, Role.SECURITY_ADMIN, Role.POLICY_OWNER}),
    Role.POLICY_OWNER: frozenset({Role.AUDIT_ADMIN, Role.AUDITOR}),
}


def require_apart(role: Role, held: Iterable[Role]) -> None:
    """Refuse a role beside others that the same person holds: `Refused("roles_exclusive")`."""
    if any(other is not role and other in _EXCLUDES[role] for other in held):
        raise Refused("roles_exclusive")


def require_place(role: Role, department: Department | None) -> None:
    """A department where the role needs one, none where it does not: `Refused("department_needed")`."""
    if role.of_department != (department is not None):
        raise Refused("department_needed")
