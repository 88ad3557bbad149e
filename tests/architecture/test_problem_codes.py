"""Every stable code that the house can raise has a status and a sentence in both languages."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
RAISED = re.compile(r'(?:Denied|BadRequest|ProviderFault|GatewayFault|NotAuthenticated)\(\s*"([a-z_.0-9]+)"')
OWN_DOOR = {"adapters", "client"}  # the edge and the SDK have tables of their own


def raised_codes():
    found = {}
    for package in ("gateway", "keys", "policies"):
        for path in (ROOT / package).rglob("*.py"):
            if not OWN_DOOR & set(path.parts):
                for match in RAISED.finditer(path.read_text("utf-8")):
                    found.setdefault(match[1], path.relative_to(ROOT))
    return found


def table():
    return tomllib.loads((ROOT / "gateway/api/problems.toml").read_text("utf-8"))


def test_every_raised_code_has_a_sentence_in_both_languages():
    missing = {code: str(path) for code, path in raised_codes().items() if code not in table()}
    assert not missing


def test_every_gate_code_of_the_catalogue_has_a_sentence():
    codes = set()
    for path in (ROOT / "policies/catalogue/exchanges").glob("*.toml"):
        codes |= {gate["code"] for gate in tomllib.loads(path.read_text("utf-8")).get("gates", [])}
    assert codes
    assert codes <= set(table())


def test_every_row_says_something_in_chinese_and_in_english():
    for code, row in table().items():
        assert set(row) == {"status", "en", "zh"}, code
        assert 400 <= row["status"] < 600
        assert re.search(r"[\u4e00-\u9fff]", row["zh"]), code
        assert row["en"].isascii() and row["en"].endswith((".", ")")), code


def test_no_sentence_could_echo_a_value():
    for code, row in table().items():
        assert "{" not in row["en"] + row["zh"], code
