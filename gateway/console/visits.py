"""One visit: who is here, in which language, with the form that was sent; and the looks that it leaves in the log.

Rules kept here: a look is recorded before it is shown; a refused visit of somebody who is signed in is recorded too; a form is
read up to 64 KiB and one value a field; what a button would be refused with is what the server refuses with.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from gateway.console.accounts import Account
from gateway.console.doors import Door, find_door, require_role
from gateway.console.fences import LARGEST_FORM
from gateway.console.languages import Tongue
from gateway.console.refusals import Refused, own_sentences
from gateway.domain.entries import DetailValue, EntryDraft
from gateway.domain.vocabulary import Department, EntryKind, Outcome
from gateway.errors import GatewayError
from gateway.flows.house import House
from gateway.identity.security_keys import Vouched, standing_keys
from gateway.release.scan import scan

if TYPE_CHECKING:
    from gateway.console.mount import Console

LONGEST_TEXT = 2000
LONGEST_STATEMENT = 16_384
SHORTEST_REASON = 4
THEMES = ("auto", "light", "dark")


@dataclass(slots=True)
class Visit:
    """A request on its way through one door."""

    console: Console
    request: Request
    door: Door
    tongue: Tongue
    theme: str
    who: Account | None = None
    form: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def house(self) -> House:
        """The rooms."""
        return self.console.house

    @property
    def account(self) -> Account:
        """Who is signed in; `Refused("signed_out")`."""
        if self.who is None:
            raise Refused("signed_out")
        return self.who

    @property
    def department(self) -> Department | None:
        """The department to which this visit is confined; None for administrators."""
        return self.account.department

    @property
    def signing_keys(self) -> list[Vouched]:
        """The security keys with which this visitor signs approvals."""
        return standing_keys(self.house.registry.current, self.account.person, self.now)

    @property
    def now(self) -> int:
        """Unix seconds."""
        return int(self.house.clock.now().timestamp())

    def query(self, name: str) -> str:
        """A value of the query string, "" where there is none."""
        return self.request.query_params.get(name, "")[:200]

    def path(self, name: str) -> str:
        """A part of the path."""
        return str(self.request.path_params[name])

    def number(self, text: str, *, default: int | None = None) -> int | None:
        """A non-negative number from a form or query; `Refused("form_invalid")` for anything else that is not empty."""
        if not text:
            return default
        if not text.isascii() or not text.isdigit() or len(text) > 15:
            raise Refused("form_invalid")
        return int(text)

    def chosen(self, name: str, allowed: Any, *, empty: bool = False) -> str:
        """A word of a closed list from the form; `Refused("form_invalid")`."""
        word = self.form.get(name, "")
        if word not in {*map(str, allowed), *([""] if empty else [])}:
            raise Refused("form_invalid")
        return word

    @property
    def statement(self) -> str:
        """The signed statement from the form, "" for none."""
        return self.form.get("statement", "").strip()[:LONGEST_STATEMENT]

    def prose(self, name: str) -> str:
        """Free text from the form that holds nobody's identifiers. `Refused` (reason_short, text_identifies)."""
        text = self.form.get(name, "").strip()[:LONGEST_TEXT]
        if len(text) < SHORTEST_REASON:
            raise Refused("reason_short")
        if scan(text):
            raise Refused("text_identifies")
        return text

    # --- answers ----------------------------------------------------------------------------------------------------

    def page(self, template: str, status: int = 200, **values: Any) -> Response:
        """A rendered page."""
        return self.console.pages.render(self, template, status, values)

    def url(self, name: str, **parts: Any) -> str:
        """The address of a door."""
        return self.console.url(name, **parts)

    def go(self, name: str, **parts: Any) -> Response:
        """On to another door after a change."""
        return RedirectResponse(self.url(name, **parts), 303)

    # --- what may be done, and why not --------------------------------------------------------------------------------

    def may(self, name: str) -> bool:
        """Whether this visitor's role opens a door."""
        return self.who is not None and self.who.role in find_door(name).roles

    def why_not(self, name: str, *checks: Callable[[], None]) -> str:
        """The sentence with which the server would refuse this door now, "" where it would not."""
        try:
            require_role(self.account.role, find_door(name))
            for check in checks:
                check()
        except GatewayError as error:
            return self.sentence(error)
        return ""

    def sentence(self, error: GatewayError) -> str:
        """An error as its sentence in the visitor's language."""
        found = own_sentences().get(error.code) or self.console.sentences.get(error.code)
        if found is None:
            found = self.console.sentences["internal"]
        text: str = found.zh if self.tongue.language == "zh" else found.en
        if error.code == "role_missing":
            joiner = "、" if self.tongue.language == "zh" else ", "
            names = [self.tongue.word("role", role) for role in str(error.facts.get("roles", "")).split()]
            text += joiner.join(names) + ("。" if self.tongue.language == "zh" else ".")
        return text

    # --- the log ------------------------------------------------------------------------------------------------------

    async def look(
        self,
        what: str,
        *,
        children: tuple[bytes, ...] = (),
        kind: EntryKind = EntryKind.AUDIT_QUERY,
        **detail: DetailValue,
    ) -> int:
        """Record what is about to be shown; the entry's index."""
        draft = self.draft(what, children=children, kind=kind, detail=detail)
        return (await self.house.log.append(draft)).index

    def draft(
        self,
        what: str,
        *,
        children: tuple[bytes, ...] = (),
        kind: EntryKind = EntryKind.AUDIT_QUERY,
        outcome: Outcome = Outcome.DONE,
        code: str = "",
        detail: Mapping[str, DetailValue] = MappingProxyType({}),
    ) -> EntryDraft:
        """An entry in this visitor's name."""
        account = self.account
        return EntryDraft(
            kind=kind,
            outcome=outcome,
            code=code,
            requester=account.department,
            children=children,
            actors=(account.actor,),
            detail={"account": account.name, "role": str(account.role), "what": what, **detail},
        )

    async def refused(self, error: GatewayError) -> None:
        """Record that somebody who is signed in was refused."""
        draft = self.draft(self.door.name, outcome=Outcome.DENIED, code=error.code)
        await self.house.log.append(draft)


async def read_form(request: Request) -> dict[str, str]:
    """The fields of a form. `Refused("form_invalid")` for another media type, too much, or a field sent twice."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST_FORM:
            raise Refused("form_invalid")
    if kind != "application/x-www-form-urlencoded":
        if body:
            raise Refused("form_invalid")
        return {}
    from urllib.parse import parse_qsl

    try:
        pairs = parse_qsl(body.decode("utf-8"), keep_blank_values=True, strict_parsing=bool(body), max_num_fields=50)
    except (ValueError, UnicodeDecodeError):
        raise Refused("form_invalid") from None
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise Refused("form_invalid")
    return fields
