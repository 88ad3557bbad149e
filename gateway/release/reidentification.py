"""The form of a re-identification's one line: which fields a source's own register answers with, all of them sealed.

Rules kept here: it is no exchange of the catalogue, so no rule and no consent can ever open it; nothing of it is readable outside the
requester; nobody adds a field without changing this file.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from gateway.domain.orders import Line, SealedValue
from gateway.domain.permits import Obligation
from gateway.domain.vocabulary import Transform
from gateway.errors import ProviderFault

EXCHANGE = "reidentification"
"""What stands in place of an exchange in the order and in the binding of the line."""
PURPOSE = "reidentification"

_SEALED = Obligation(Transform.CLEAR, sealed=True)
GRANTS: Mapping[str, Obligation] = MappingProxyType({"identifier_kind": _SEALED, "identifier": _SEALED})


def require_form(line: Line, *, subject: str, edge: str) -> None:
    """Raises `ProviderFault("form_violation")` for another child, another field, a missing or an unsealed one, a reference."""
    whole = line.number == 1 and line.subject == subject and line.values.keys() == GRANTS.keys()
    if not whole or line.references or not all(isinstance(value, SealedValue) for value in line.values.values()):
        raise ProviderFault("form_violation", edge=edge)
