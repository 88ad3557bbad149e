"""Invented exchanges, permits and sealed lines for the tests of the release room."""

from datetime import UTC, date, datetime

from gateway.domain.basis import Ask, Basis
from gateway.domain.exchanges import Exchange, Field, GateRule
from gateway.domain.orders import Envelope, PlainValue, Release, SealInfo
from gateway.domain.parties import Caller, Client, Party
from gateway.domain.permits import Permit
from gateway.domain.subjects import NoChild, Recognised
from gateway.domain.vocabulary import (
    Action,
    ConsentCode,
    ConsentState,
    Department,
    Door,
    ExchangeState,
    Level,
    Pattern,
    Profile,
    ScopeKind,
)
from gateway.release.obligation_text import parse
from gateway.release.reduce import reduce
from keys.envelope import SealingPair, seal_line
from keys.signing import SigningKey

PROVIDER = Party("91350100M000100Y43", Department.EDUCATION)
RECIPIENT = Party("113301060000000017", Department.CIVIL_AFFAIRS)
PAIR = SealingPair.generate("x25519")
KEY = PAIR.sealing_key(RECIPIENT)
SIGNER = SigningKey.generate()
TODAY = date(2026, 11, 22)
UNTIL = datetime(2026, 11, 22, 5, tzinfo=UTC)
REQUEST = "rq-1"
NAME = "ca1-recipient"


def field(name, type_, *, cls="answer", gate=False, required=False, values=()):
    return Field(name, name, name, type_, cls, gate=gate, required=required, values=values)


def exchange(fields, *, profile=Profile.D1, personal=True, gates=(), pattern=Pattern.VERIFY, level=Level.L5):
    return Exchange(
        id="X99",
        zh="试",
        en="Trial",
        state=ExchangeState.SERVED,
        pattern=pattern,
        purpose="P01",
        providers=(Department.EDUCATION,),
        consumers=(Department.CIVIL_AFFAIRS,),
        level=level,
        profile=profile,
        share="有条件",
        citations=(),
        consent={Department.CIVIL_AFFAIRS: ConsentCode.STATUTORY},
        scopes={Department.CIVIL_AFFAIRS: ScopeKind.OPEN},
        fields={f.name: f for f in fields},
        gates=tuple(gates),
        personal=personal,
    )


GATE = GateRule("guardian_contacted", ("Y",), "guardian_not_contacted", frozenset({Door.NORMAL}))


def grants(**texts):
    return {name: parse(text) for name, text in texts.items()}


def permit(ex, granted, *, regions=("",), door=Door.NORMAL):
    client = Client("c1", RECIPIENT, "330106", "t", b"\0" * 32)
    recognised = Recognised(Caller(client, None, "330106", b"\0" * 32, (), "r"), NoChild())
    ask = Ask(ex, "P01", door, Action.QUERY, RECIPIENT, tuple(granted))
    basis = Basis(recognised, ask, ConsentState.STATUTORY, None, None, None, None, UNTIL)
    return Permit(basis, granted, {}, {}, frozenset(), regions, "sha256:00", UNTIL)


def info(number=1, *, request=REQUEST, sender=PROVIDER, recipient=RECIPIENT, exchange_id="X99"):
    return SealInfo(request, number, exchange_id, sender, recipient, KEY.kid)


def line(values, granted, *, number=1, references=None, region="330106", subject=NAME, bound=None):
    return seal_line(
        values,
        grants=granted,
        info=bound or info(number),
        recipient=KEY,
        signer=SIGNER,
        number=number,
        subject=subject,
        references=references or {},
        region=region,
    )


def reduced_line(values, ex, granted, **more):
    reduced = reduce(values, exchange=ex, grants=granted, today=TODAY, shift=bytes(range(32)), medical=True)
    return line(reduced.sealable, granted, references=dict(reduced.references), **more)


def release(*lines, missing=()):
    return Release(REQUEST, "X99", PROVIDER, tuple(lines), tuple(missing))


def envelope(*lines):
    return Envelope("sp-1", "X99", PROVIDER, RECIPIENT, tuple(lines))


def plain(value):
    return PlainValue(value, b"\0" * 16)
