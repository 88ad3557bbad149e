"""Reads the recording hop's files: every HTTP request with its answer, as they passed, byte by byte.

Rules kept here: nothing of the gateway's or the SDK's own parsing is used; a request without an answer (a long poll that the end cut
off) has status 0; a client is whoever's registered key signed the proof, never what a request says of itself.
"""

from __future__ import annotations

import base64
import json
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from keys.signing import VerifyKey


@dataclass(frozen=True, slots=True)
class Call:
    """One request and its answer. place: (connection, number within it), in the order in which connections were opened.

    client: id under which the proof's key is registered, "" where there is no proof. officer: the assertion's claims.
    """

    place: tuple[int, int]
    method: str
    path: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    status: int
    answered: Mapping[str, str] = field(repr=False)
    answer: bytes = field(repr=False)
    client: str = ""
    officer: Mapping[str, Any] = field(default_factory=dict)

    @property
    def asked(self) -> dict[str, Any]:
        """The request's JSON, empty where there is none."""
        return json.loads(self.body) if self.body.startswith(b"{") else {}

    @property
    def said(self) -> dict[str, Any]:
        """The answer's JSON."""
        return json.loads(self.answer) if self.answer.startswith(b"{") else {}

    @property
    def receipt(self) -> int | None:
        """The entry that the answer names."""
        stated = self.answered.get("audit-receipt")
        return int(stated.split()[1]) if stated else None

    @property
    def salts(self) -> tuple[bytes, bytes]:
        """Salts of the request's and the answer's digest, as the answer names them."""
        one, two = self.answered["audit-salt"].split(".")
        return unb64(one), unb64(two)

    @property
    def code(self) -> str:
        """The problem's code, "" where it was none."""
        return str(self.said.get("code", "")) if self.status >= 400 else ""


def calls(folder: Path, site: Path | None = None) -> list[Call]:
    """Every call of one hop, in order of connection. site: the site file, by whose keys clients are told apart."""
    clients = {row["key"]: row["id"] for row in tomllib.loads(site.read_text("utf-8"))["clients"]} if site else {}
    found = []
    for path in sorted(folder.glob("*.in")):
        requests = list(messages(path.read_bytes()))
        answers = list(messages(path.with_suffix(".out").read_bytes()))
        assert len(answers) in (len(requests), len(requests) - 1), f"{path.name}: answers without requests"
        for number, (first, headers, body) in enumerate(requests):
            method, target, _ = first.split(" ")
            status, answered, answer = 0, {}, b""
            if number < len(answers):
                line, answered, answer = answers[number]
                status = int(line.split(" ")[1])
            found.append(
                Call(
                    (int(path.stem), number), method, target, headers, body, status, answered, answer,
                    signer(headers.get("dpop", ""), clients), claims(headers.get("officer-assertion", "")),
                )
            )  # fmt: skip
    return found


def messages(data: bytes) -> Iterator[tuple[str, dict[str, str], bytes]]:
    """(first line, headers, body) of each HTTP/1.1 message; a last one that was cut off is left out."""
    at = 0
    while (end := data.find(b"\r\n\r\n", at)) >= 0:
        first, *lines = data[at:end].decode("latin-1").split("\r\n")
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        assert "transfer-encoding" not in headers, "this reader knows bodies of a stated length only"
        size = int(headers.get("content-length", "0"))
        body = data[end + 4 : end + 4 + size]
        if len(body) < size:
            return
        yield first, headers, body
        at = end + 4 + size
    assert not data[at:].strip(), "bytes between two messages"


def signer(proof: str, clients: Mapping[str, str]) -> str:
    """Whose registered key signed a request's proof; the signature is checked, and a proof that does not hold is nobody's."""
    if not proof:
        return ""
    head, body, signature = proof.split(".")
    key = json.loads(unb64(head))["jwk"]["x"]
    VerifyKey(unb64(key)).verify(unb64(signature), f"{head}.{body}".encode())
    return clients.get(key, "")


def claims(token: str) -> dict[str, Any]:
    """The claims of a compact JWT, unchecked."""
    return json.loads(unb64(token.split(".")[1])) if token else {}


def unb64(text: str) -> bytes:
    """base64url without padding."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
