"""Looks for canaries: names, phones and citizen numbers, in every form in which careless code writes text down.

Rules kept here: a canary is sought as UTF-8 and GB18030, plain, in hex (both cases), in base64 (both alphabets, wherever in a longer
text it began), percent- and JSON-escaped; what is found is told by kind and form, never by its text; nothing is decompressed.
"""

from __future__ import annotations

import base64
import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import quote

from adapters.sandbox.population import Canaries

WINDOW = 8
"""Every form of every canary is at least so long: four Han characters in GB18030."""

Form = Callable[[bytes], list[bytes]]


@dataclass(frozen=True, slots=True)
class Leak:
    """Something that should not be there. kind: name, phone or number. at: offset in the source."""

    kind: str
    form: str
    source: str
    at: int


def _aligned(encode: Callable[[bytes], bytes]) -> Form:
    """What a text looks like inside a longer one in base64: three alignments, less the characters that it shares."""

    def forms(data: bytes) -> list[bytes]:
        found = []
        for before in range(3):
            first, last = -(-8 * before // 6), 8 * (before + len(data)) // 6
            found.append(encode(bytes(before) + data + bytes(2))[first:last])
        return found

    return forms


def _percent(data: bytes) -> list[bytes]:
    everything = "".join(f"%{byte:02X}" for byte in data)
    usual = quote(data, safe="")
    return [text.encode() for text in (everything, everything.lower(), usual, usual.replace("%", "%25"))] + [
        "".join(f"%{byte:02x}" if f"%{byte:02X}" in usual else chr(byte) for byte in data).encode()
    ]


BYTE_FORMS: Mapping[str, Form] = {
    "plain": lambda data: [data],
    "hex": lambda data: [data.hex().encode()],
    "HEX": lambda data: [data.hex().upper().encode()],
    "base64": _aligned(base64.b64encode),
    "base64url": _aligned(base64.urlsafe_b64encode),
    "percent": _percent,
}
CHARSETS = ("utf-8", "gb18030")


def forms_of(text: str) -> Iterator[tuple[str, bytes]]:
    """(form, bytes) of one canary."""
    for charset in CHARSETS:
        data = text.encode(charset)
        for name, form in BYTE_FORMS.items():
            for pattern in form(data):
                yield f"{charset} {name}", pattern
    escaped = json.dumps(text)[1:-1]
    everything = "".join(f"\\u{ord(character):04x}" for character in text)
    for pattern in (escaped, everything, everything.upper().replace("\\U", "\\u"), escaped.replace("\\", "\\\\")):
        yield "json", pattern.encode()


class Searcher:
    """All forms of all canaries, sought at once: every place is looked up by its first eight bytes."""

    def __init__(self, canaries: Canaries) -> None:
        self._starting: dict[bytes, list[tuple[bytes, str, str]]] = defaultdict(list)
        seen: set[bytes] = set()
        texts = [("name", text) for text in canaries.names]
        texts += [("phone", text) for text in canaries.phones]
        texts += [("number", text) for text in canaries.identifiers]
        texts += [("number", text.lower()) for text in canaries.identifiers if text.endswith("X")]
        for kind, text in texts:
            for form, pattern in forms_of(text):
                assert len(pattern) >= WINDOW
                if pattern not in seen:
                    seen.add(pattern)
                    self._starting[pattern[:WINDOW]].append((pattern, kind, form))

    def search(self, source: str, data: bytes) -> list[Leak]:
        """Every canary in `data`, told without its text."""
        starting = self._starting
        places = [at for at in range(len(data) - WINDOW + 1) if data[at : at + WINDOW] in starting]
        return [
            Leak(kind, form, source, at)
            for at in places
            for pattern, kind, form in starting[data[at : at + WINDOW]]
            if data.startswith(pattern, at)
        ]
