"""Errors grouped by who is at fault. Inside the house they carry a stable code; `gateway/api/problems.py` alone turns
them into RFC 9457 documents. No message here ever holds a value that came from outside.

`Denied`     the law, a rule or a basis says no            -> 403 (or the status that the code's table names)
`BadRequest` the caller sent something malformed            -> 400 / 413 / 415 / 422
`NotAuthenticated` before step (1) succeeded                -> 401
`ProviderFault` the provider failed or broke the contract   -> 502 / 504
`GatewayFault`  we failed; nothing has left                 -> 500 / 503
`ProgrammingError` a bug: called out of order
"""

from __future__ import annotations


class GatewayError(Exception):
    """Base of all. `code` is stable and documented in `gateway/api/problems.py`; `facts` are safe public parameters
    (field names, exchange ids, counts, dates), never values of a record.
    """

    def __init__(self, code: str, /, **facts: str | int) -> None:
        super().__init__(code)
        self.code = code
        self.facts = facts


class NotAuthenticated(GatewayError):
    """Step (1) failed. Nothing is recorded per request; the minute's `auth.refused` roll-up counts it."""


class BadRequest(GatewayError):
    """The caller's input is not of the documented form."""


class Denied(GatewayError):
    """A lawful refusal. `rules` are ids of policy rows, shown only to who may see them."""

    def __init__(self, code: str, /, *, rules: tuple[str, ...] = (), **facts: str | int) -> None:
        super().__init__(code, **facts)
        self.rules = rules


class NoResult(GatewayError):
    """Absent, unknown and outside the region look alike: same code, same shape."""

    def __init__(self) -> None:
        super().__init__("no_result")


class ProviderFault(GatewayError):
    """The provider timed out, answered garbage, too much, or broke the ordered form."""


class GatewayFault(GatewayError):
    """We could not do our part (log, store, keys). Nothing has left."""


class ProgrammingError(Exception):
    """A caller inside the house broke an order or a contract."""
