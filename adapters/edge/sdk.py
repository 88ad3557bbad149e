"""The gateway's port filled with the SDK.

Rules kept here: an envelope that the SDK refuses to open is told to the gateway as rejected with the SDK's code, and nothing of it is used;
the SDK's errors keep their codes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence

import httpx2

from adapters.edge.port import Received, ReceivedLine, Sending, Sent
from gateway.client.asynchronous import AsyncRunxinClient
from gateway.client.configuration import Configuration
from gateway.client.errors import AnswerRejected, GatewayRefused, GatewayUnreachable, SdkError
from gateway.client.naming import Subject
from gateway.client.receiving import Received as SealedEnvelope
from gateway.client.sending import NothingPermitted, Outbound
from gateway.domain.exchanges import Exchange
from gateway.domain.orders import Acknowledgement
from gateway.errors import Denied, GatewayError, GatewayFault

_TRUST_MAY_FOLLOW = frozenset({"sender_unpinned", "sender_unproved", "sealing_key_missing"})
"""Codes of an envelope that may open later, once a key is pinned or loaded: it is not rejected but comes again."""


class SdkGateway:
    """A `GatewayPort` over one SDK client. Machine work (inbox, blind door) is done without an officer, sending with the configured one.

    transport: mutual TLS where the edge has certificates.
    """

    def __init__(
        self,
        configuration: Configuration,
        exchanges: Mapping[str, Exchange],
        *,
        medical: bool = False,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self._client = AsyncRunxinClient(configuration, exchanges=exchanges, transport=transport)
        self._machine = self._client.acting_as(None)
        self._exchanges = exchanges
        self._medical = medical

    async def evaluate(self, points: Sequence[bytes], grant: str | None) -> tuple[Sequence[bytes], int]:
        """The blind door. Raises `GatewayError` with the gateway's code."""
        try:
            return await self._machine.evaluate(points, grant)
        except SdkError as error:
            raise translated(error) from None

    async def epochs(self) -> tuple[int, ...]:
        """Understood epochs of the open scope; none before the department's first name. Raises `GatewayError`."""
        try:
            told = await self._machine.epochs()
        except SdkError as error:
            raise translated(error) from None
        return told["open"].accepted if "open" in told else ()

    async def convert(self, pseudonyms: Sequence[str], epoch: int, *, finished: bool) -> Sequence[str]:
        """Follow a rotation. Raises `GatewayError` with the gateway's code."""
        try:
            return await self._machine.convert(pseudonyms, epoch=epoch, finished=finished)
        except SdkError as error:
            raise translated(error) from None

    async def inbox(self, *, wait: int, limit: int) -> AsyncIterator[Received]:
        """Waiting envelopes, opened, until a poll brings none. Raises `GatewayError`."""
        try:
            async for sealed in self._machine.inbox(wait=wait, limit=limit):
                yield await self._opened(sealed)
        except SdkError as error:
            raise translated(error) from None

    async def _opened(self, sealed: SealedEnvelope) -> Received:
        lines: tuple[ReceivedLine, ...] = ()
        refused = ""
        try:
            opened = await self._machine.open(sealed)
            lines = tuple(ReceivedLine(r.line, r.subject, r.references, r.values) for r in opened)
        except AnswerRejected as error:
            refused = error.code
        return Received(
            delivery=sealed.delivery,
            exchange=sealed.exchange,
            purpose=sealed.purpose,
            sender=sealed.sender,
            labels=sealed.labels,
            lines=lines,
            refused=refused,
            later=refused in _TRUST_MAY_FOLLOW,
        )

    async def acknowledge(self, acknowledgement: Acknowledgement) -> None:
        """Tell the gateway what became of an envelope. Raises `GatewayError`."""
        try:
            await self._machine.acknowledge(
                acknowledgement.delivery, status=acknowledgement.status, code=acknowledgement.code
            )
        except SdkError as error:
            raise translated(error) from None

    async def send(self, sending: Sending) -> Sent:
        """Permit, reduce, seal, hand in. Raises `Denied("order_unserved")` for an unknown exchange, `GatewayError`."""
        if sending.exchange not in self._exchanges:
            raise Denied("order_unserved")
        try:
            sent = await self._client.send(
                sending.exchange,
                sending.purpose,
                recipient=sending.recipient,
                records=[Outbound(Subject(pseudonym=line.subject), line.values, line.region) for line in sending.lines],
                door=sending.door,
                case=sending.case,
                reason=sending.reason,
                medical=self._medical,
                idempotency_key=sending.key,
            )
        except NothingPermitted as error:
            return Sent("", "", error.denied)
        except SdkError as error:
            raise translated(error) from None
        receipt = sent.receipt
        return Sent(sent.delivery, f"{receipt.origin} {receipt.index} {receipt.size}", sent.denied)

    async def close(self) -> None:
        """Release connections."""
        await self._client.aclose()


def translated(error: SdkError) -> GatewayError:
    """An SDK error in the house's words; its code stays, its facts are the gateway's safe ones."""
    match error:
        case GatewayRefused():
            return Denied(error.code, rules=(), **error.facts)
        case GatewayUnreachable():
            return GatewayFault("gateway_unreachable")
        case AnswerRejected():
            return GatewayFault(error.code)
        case _:
            return GatewayFault("edge_fault")
