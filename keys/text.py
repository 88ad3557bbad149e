"""The text form of a pseudonym: Bech32m (BIP 350), human part = holder, scope letter and epoch (`edo1…`, `ylc2…`).

Rules kept here: one pseudonym has one text (lower case); the human part must name the scope in which the text is read;
the point behind it is a canonical one. The exchange of a closed scope is not in the text: its reader knows it.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache

from gateway.domain import base32
from gateway.domain.subjects import Pseudonym, Scope
from gateway.domain.vocabulary import Department, ScopeKind
from gateway.errors import BadRequest
from keys.group import POINT_BYTES, require_point

_ALPHABET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_VALUES = {character: value for value, character in enumerate(_ALPHABET)}
_GENERATORS = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_BECH32M = 0x2BC830A3
_CHECKSUM_LENGTH = 6
_LONGEST = 90
_POINT_SYMBOLS = 52
_TO_BECH32 = _ALPHABET.encode() + bytes(224)
_PAIRS = tuple(first + second for first in _ALPHABET for second in _ALPHABET)
# `int(…, 32)` reads the digits 0-9a-v, and in C; it is the fastest decoder of five-bit symbols that Python has.
_DIGITS = bytes.maketrans(_ALPHABET.encode(), b"0123456789abcdefghijklmnopqrstuv")
_HUMAN = re.compile(r"([a-z]{2}[oc])([1-9][0-9]{0,5})", re.ASCII)
_DATA = re.compile(rf"[{_ALPHABET}]{{{_POINT_SYMBOLS + _CHECKSUM_LENGTH}}}", re.ASCII)


def write(pseudonym: Pseudonym) -> str:
    """The Bech32m text of a pseudonym, 62 characters or a few more."""
    human = f"{prefix(pseudonym.scope)}{pseudonym.epoch}"
    data = base32.symbols(pseudonym.point).translate(_TO_BECH32).decode("ascii")
    return f"{human}1{data}{_checksum_text(human, pseudonym.point)}"


def read(text: str, scope: Scope) -> Pseudonym:
    """The pseudonym that a text names within `scope`.

    Raises `BadRequest("pseudonym_scope")` if the text is of another scope, `BadRequest("pseudonym_invalid")` if it is
    no pseudonym: form, checksum or point.
    """
    # The epoch may itself contain a 1, so the separator is the last one (BIP 173).
    human, _, data = text.rpartition("1")
    found = _HUMAN.fullmatch(human)
    if found is None or not _DATA.fullmatch(data):
        raise BadRequest("pseudonym_invalid")
    point = _point(data[:_POINT_SYMBOLS])
    if point is None or _checksum_text(human, point) != data[_POINT_SYMBOLS:]:
        raise BadRequest("pseudonym_invalid")
    if found.group(1) != prefix(scope):
        raise BadRequest("pseudonym_scope")
    try:
        require_point(point)
    except BadRequest:
        raise BadRequest("pseudonym_invalid") from None
    return Pseudonym(scope=scope, epoch=int(found.group(2)), point=point)


_HOLDERS = {"gateway": "gw", **{str(department): department.short for department in Department}}


def prefix(scope: Scope) -> str:
    """Three letters: the holder's two (`gw` the gateway, `xb` an outside body) and `o` for open, `c` for closed."""
    return _HOLDERS.get(scope.holder, "xb") + ("o" if scope.kind is ScopeKind.OPEN else "c")


def bech32m_encode(human: str, symbols: list[int]) -> str:
    """Bech32m of five-bit symbols under a human part (BIP 350); for any length, as the standard's vectors want it."""
    state = _polymod([*_expand(human), *symbols, *([0] * _CHECKSUM_LENGTH)]) ^ _BECH32M
    check = [(state >> 5 * (_CHECKSUM_LENGTH - 1 - place)) & 31 for place in range(_CHECKSUM_LENGTH)]
    return human + "1" + "".join(_ALPHABET[symbol] for symbol in [*symbols, *check])


def bech32m_decode(text: str) -> tuple[str, list[int]]:
    """Human part and five-bit symbols behind a Bech32m text (BIP 350). Raises `BadRequest("pseudonym_invalid")`."""
    lowered = text.lower()
    human, separator, data = lowered.rpartition("1")
    symbols = [_VALUES.get(character, -1) for character in data]
    if (
        len(text) > _LONGEST
        or text not in (lowered, text.upper())
        or not separator
        or not human
        or any(not 33 <= ord(character) <= 126 for character in human)
        or len(data) < _CHECKSUM_LENGTH
        or -1 in symbols
        or _polymod([*_expand(human), *symbols]) != _BECH32M
    ):
        raise BadRequest("pseudonym_invalid")
    return human, symbols[:-_CHECKSUM_LENGTH]


def _point(data: str) -> bytes | None:
    """The 32 bytes behind 52 symbols; None if the four bits of filling are not zero."""
    value = int(data.encode("ascii").translate(_DIGITS), 32)
    return None if value & 0b1111 else (value >> 4).to_bytes(POINT_BYTES, "big")


def _checksum_text(human: str, point: bytes) -> str:
    """The six check symbols. The code is linear over GF(2), so the state is the XOR of one table entry per byte."""
    state = _human_state(human)
    for table, byte in zip(_tables(), point, strict=True):
        state ^= table[byte]
    return _PAIRS[state >> 20] + _PAIRS[state >> 10 & 0x3FF] + _PAIRS[state & 0x3FF]


@lru_cache(maxsize=512)
def _human_state(human: str) -> int:
    return _polymod([*_expand(human), *([0] * (_POINT_SYMBOLS + _CHECKSUM_LENGTH))]) ^ _BECH32M


@cache
def _tables() -> tuple[tuple[int, ...], ...]:
    """Per byte of a point, what each of its 256 values adds to the checksum's state."""
    zero = _linear(bytes(POINT_BYTES))
    tables = []
    for place in range(POINT_BYTES):
        bits = [
            _linear((1 << (8 * (POINT_BYTES - 1 - place) + bit)).to_bytes(POINT_BYTES, "big")) ^ zero
            for bit in range(8)
        ]
        row = [0] * 256
        for value in range(1, 256):
            low = value & -value
            row[value] = row[value ^ low] ^ bits[low.bit_length() - 1]
        tables.append(tuple(row))
    return tuple(tables)


def _linear(point: bytes) -> int:
    return _polymod([*base32.symbols(point), *([0] * _CHECKSUM_LENGTH)])


def _expand(human: str) -> list[int]:
    return [ord(character) >> 5 for character in human] + [0] + [ord(character) & 31 for character in human]


def _polymod(symbols: list[int]) -> int:
    """The BCH remainder of BIP 173."""
    state = 1
    for symbol in symbols:
        top = state >> 25
        state = (state & 0x1FFFFFF) << 5 ^ symbol
        for place, generator in enumerate(_GENERATORS):
            if (top >> place) & 1:
                state ^= generator
    return state
