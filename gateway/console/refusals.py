"""What the console says when it says no: one sentence per code and language, shown as the refusal and on the disabled button.

Rules kept here: codes of other rooms keep the sentence that the machine door gives them; codes of the console stand in
`refusals.toml`; a code without a sentence says only that the gateway failed.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import NamedTuple

from gateway.errors import GatewayError


class Refused(GatewayError):  # noqa: N818 - named like its siblings in errors.py
    """A refusal of the console itself; its code stands in `refusals.toml`."""


class Sentence(NamedTuple):
    """Status and the sentence in both languages."""

    status: int
    en: str
    zh: str


@cache
def own_sentences() -> Mapping[str, Sentence]:
    """The console's own table."""
    text = resources.files("gateway.console").joinpath("refusals.toml").read_text("utf-8")
    return {code: Sentence(row["status"], row["en"], row["zh"]) for code, row in tomllib.loads(text).items()}
