"""What can go wrong for a user of the SDK, by whose word it is.

Rules kept here: nothing here holds an identifier, a pseudonym or a value; a refusal carries the gateway's stable code and its
sentences in two languages; an answer that does not verify is an error, never a warning.
"""

from __future__ import annotations

from collections.abc import Mapping


class SdkError(Exception):
    """Base of all errors that the SDK raises by itself."""


class GatewayRefused(SdkError):  # noqa: N818 (it tells what happened)
    """The gateway answered with a problem document (RFC 9457).

    code: stable, documented. status: HTTP. detail, detail_zh: what to do, in two languages. facts: safe parameters.
    """

    def __init__(self, code: str, status: int, detail: str, detail_zh: str, facts: Mapping[str, str | int]) -> None:
        super().__init__(code)
        self.code = code
        self.status = status
        self.detail = detail
        self.detail_zh = detail_zh
        self.facts = facts


class GatewayUnreachable(SdkError):  # noqa: N818
    """No answer came. sent: whether the request may have reached the gateway, so that it must not simply be repeated."""

    def __init__(self, *, sent: bool) -> None:
        super().__init__("the gateway did not answer" if sent else "the gateway could not be reached")
        self.sent = sent


class AnswerRejected(SdkError):  # noqa: N818
    """The answer came, but does not prove what it has to. Nothing of it may be used.

    code: `answer_malformed`, `answer_other` (another request, exchange, purpose or subject), `labels_missing`, `receipt_missing`,
    `receipt_invalid`, `sender_unpinned`, `sender_changed`, `sender_unproved`, `seal_invalid`, `sealing_key_missing`.
    """

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code
