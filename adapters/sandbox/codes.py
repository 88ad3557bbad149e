"""Identifier arithmetic and code lists for invented people and bodies.

Rules kept here: numbers satisfy their standard's check (GB 11643-1999, GB 32100-2015, GB 11714) because the gateway refuses
others; county codes are real (GB/T 2260), everything beneath a county is invented; phone numbers use the 154 prefix, which
no operator sells to the public to our knowledge.
"""

from __future__ import annotations

from datetime import date
from random import Random

COUNTIES = {"330102": "上城区", "330105": "拱墅区", "330106": "西湖区", "330203": "海曙区"}
"""GB/T 2260: three counties of 杭州市 (3301) and one of 宁波市 (3302), the county outside."""

OUTSIDE = "330203"
PREFIX = "3301"

_RID_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_RID_CHECK = "10X98765432"
_USCC_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
_USCC_WEIGHTS = tuple(pow(3, i, 31) for i in range(17))
_ORG_WEIGHTS = (3, 7, 9, 10, 5, 8, 4, 2)
_CITIES = {"3301": "浙江省杭州市", "3302": "浙江省宁波市"}

_TOWNSHIPS = ("云溪镇", "青竹镇", "望湖街道", "石桥镇", "白鹭街道", "龙泉坞乡")
_VILLAGES = ("清风村", "梅坞村", "向阳村", "上塘村", "桃源村", "枫林村", "双井村", "荷塘村")


def rid(county: str, born: date, sequence: int) -> str:
    """An 18-character citizen number: county (6), birth date (8), sequence 1-999 (odd = male), check (GB 11643)."""
    head = f"{county}{born:%Y%m%d}{sequence:03d}"
    return head + _RID_CHECK[sum(int(c) * w for c, w in zip(head, _RID_WEIGHTS, strict=True)) % 11]


def social_credit_code(kind: str, county: str, number: int) -> str:
    """An 18-character unified social credit code. kind: `11` organ, `12` public institution, `51` social group (GB 32100)."""
    body = f"MB{number:06d}"
    total = sum(_BASE36[c] * w for c, w in zip(body, _ORG_WEIGHTS, strict=True))
    organisation = body + "0123456789X"[(11 - total % 11) % 11]
    head = kind + county + organisation
    remainder = sum(_USCC_ALPHABET.index(c) * w for c, w in zip(head, _USCC_WEIGHTS, strict=True)) % 31
    return head + _USCC_ALPHABET[(31 - remainder) % 31]


_BASE36 = {c: i for i, c in enumerate("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ")}


def phone(random: Random) -> str:
    """An 11-digit mobile number that nobody has."""
    return f"154{random.randrange(10**8):08d}"


def village(county: str, random: Random) -> tuple[str, str]:
    """(12-digit region code, address) of an invented village of a real county."""
    township = random.randrange(len(_TOWNSHIPS))
    place = random.randrange(len(_VILLAGES))
    code = f"{county}{101 + township}{201 + place}"
    house = f"{random.randrange(1, 30)}组{random.randrange(1, 200)}号"
    return code, f"{_CITIES[county[:4]]}{COUNTIES[county]}{_TOWNSHIPS[township]}{_VILLAGES[place]}{house}"
