"""润心网关 SDK: how a departmental system uses the gateway. It blinds, signs, asks, sends, seals, opens, checks receipts.

Start with `load` (or `Configuration`) and `RunxinClient` or `AsyncRunxinClient`; `statements` makes what people sign.
"""

from gateway.client.asking import Answer
from gateway.client.asynchronous import AsyncRunxinClient
from gateway.client.configuration import Configuration, OfficerKey, load
from gateway.client.core import outbound
from gateway.client.errors import AnswerRejected, GatewayRefused, GatewayUnreachable, SdkError
from gateway.client.opening import Record
from gateway.client.prose import ProseWarning
from gateway.client.receipts import KeptReceipt, LogProof, ProvedEntry, check_receipt, prove
from gateway.client.receiving import Received
from gateway.client.sending import NothingPermitted, Outbound, Sent
from gateway.client.sync import RunxinClient

__all__ = [
    "Answer",
    "AnswerRejected",
    "AsyncRunxinClient",
    "Configuration",
    "GatewayRefused",
    "GatewayUnreachable",
    "KeptReceipt",
    "LogProof",
    "NothingPermitted",
    "OfficerKey",
    "Outbound",
    "ProseWarning",
    "ProvedEntry",
    "Received",
    "Record",
    "RunxinClient",
    "SdkError",
    "Sent",
    "check_receipt",
    "load",
    "outbound",
    "prove",
]
