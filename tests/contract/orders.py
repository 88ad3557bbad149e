"""What the contract tests share: parties, and somebody who signs orders, reads releases and opens lines."""

import base64
import itertools
import json
import time
from contextlib import asynccontextmanager
from pathlib import Path

from adapters.base import mapping
from adapters.base.answering import DepartmentSource, Office
from adapters.directory import Directory
from adapters.edge.service import OrderDoor
from adapters.sandbox import codes
from gateway.domain.canonical import canonical
from gateway.domain.orders import Order, OrderLine, SealInfo
from gateway.domain.parties import Party
from gateway.domain.subjects import Scope
from gateway.domain.vocabulary import AgeBand, Department
from gateway.release.obligation_text import parse
from gateway.release.wire import order_to_wire, release_from_wire
from keys import text
from keys.envelope import open_line
from keys.identifiers import identify
from keys.sealing_keys import SealingPair
from keys.signing import SigningKey

CIVIL_AFFAIRS = Party(codes.social_credit_code("11", "330106", 1), Department.CIVIL_AFFAIRS)
EDUCATION = Party(codes.social_credit_code("11", "330106", 2), Department.EDUCATION)
ROOT = Path(__file__).resolve().parents[2]


def mapping_of(department, exchanges):
    return mapping.load(ROOT / "adapters" / department / "mapping.toml", exchanges)


class Ask:
    """The gateway's side of one edge, and the recipient's."""

    def __init__(self, source, directory, register, party, ring):
        self.source, self.directory, self.register, self.party, self.ring = source, directory, register, party, ring
        self.recipient = EDUCATION if party == CIVIL_AFFAIRS else CIVIL_AFFAIRS
        self.pair = SealingPair.generate()
        self.gateway = SigningKey.generate()
        self.numbers = itertools.count(1)
        self.door = OrderDoor(source, self.gateway.verify_key)

    @classmethod
    @asynccontextmanager
    async def over(cls, register, party, exchanges, ring, directory_home):
        directory = Directory(directory_home / f"{party.department}.sqlite", party.department)
        office = Office(party, "330106", SigningKey.generate())
        source = DepartmentSource(
            office,
            exchanges=exchanges,
            mapping=mapping_of(str(party.department), exchanges),
            register=register,
            directory=directory,
        )
        ask = cls(source, directory, register, party, ring)
        ask.office = office
        try:
            yield ask
        finally:
            directory.close()
            await register.close()

    async def evaluate(self, points, grant):
        scope = Scope.open(self.party.department)
        return self.ring.evaluate(scope, points), self.ring.current_epoch(scope)

    async def enrol(self):
        return await self.source.enrol(self.evaluate, None)

    def pseudonym(self, child):
        kind, value = ("cn-rid", child.identifier) if child.identifier else ("issued", child.issued)
        return text.write(self.ring.derive(Scope.open(self.party.department), identify(kind, value)))

    def order(self, exchange, purpose, children, grants, *, regions=("3301",), band=None, life=60, provider=None):
        return Order(
            request=f"req-{next(self.numbers):04d}",
            exchange=exchange,
            purpose=purpose,
            provider=provider or self.party,
            recipient=self.recipient,
            recipient_key=self.pair.sealing_key(self.recipient),
            lines=tuple(
                OrderLine(n, c if isinstance(c, str) else self.pseudonym(c)) for n, c in enumerate(children, 1)
            ),
            grants={name: parse(obligation) for name, obligation in grants.items()},
            regions=regions,
            age_band=AgeBand(band) if band else None,
            request_digest="0" * 64,
            expires_at=int(time.time()) + life,
        )

    def signed(self, order):
        body = canonical(order_to_wire(order))
        return body, base64.urlsafe_b64encode(self.gateway.sign(body)).rstrip(b"=").decode()

    async def asked(self, *args, **kwargs):
        answer = await self.door.answer(*self.signed(self.order(*args, **kwargs)))
        return release_from_wire(json.loads(answer))

    def opened(self, release, number=1):
        line = next(each for each in release.lines if each.number == number)
        info = SealInfo(
            request=release.request,
            line=number,
            exchange=release.exchange,
            sender=self.party,
            recipient=self.recipient,
            recipient_kid=self.pair.kid,
        )
        return open_line(line, pair=self.pair, sender_key=self.office.signer.verify_key, expected=info)


X02 = {
    "enrolled": "answer_only",
    "stage": "clear",
    "grade": "clear",
    "school_org_code": "clear",
    "boarding": "answer_only",
    "status": "clear",
    "as_of": "clear",
}
X01 = {"in_programme": "answer_only", "status_class": "clear", "as_of": "clear"}
X05 = ("risk_band", "urgency", "observed_from", "guardian_contacted", "guardian_contacted_at", "school_contact")
