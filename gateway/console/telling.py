"""An entry in plain words: one sentence from its skeleton, and what its opened detail adds.

Rules kept here: a sentence says what the skeleton holds and nothing else; a detail is shown by keys that are known to be harmless
to whoever may open it, and pseudonyms, proofs and salts never; everything is text and stays text.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.console.languages import Tongue
from gateway.domain.vocabulary import EntryKind

_ASKED = {
    "zh": "{asker}经{door}、以“{purpose}”为由，向{provider}查询“{exchange}”：{outcome}。",
    "en": "{asker} queried “{exchange}” of {provider} by the {door}, for “{purpose}”: {outcome}.",
}
_SENT = {
    "zh": "{asker}经{door}、以“{purpose}”为由，办理“{exchange}”（提供方：{provider}；环节：{kind}）：{outcome}。",
    "en": "{asker}, by the {door}, for “{purpose}”: “{exchange}” (provider: {provider}; step: {kind}): {outcome}.",
}
_ABOUT = {"zh": "{kind}（{exchange}）：{outcome}。", "en": "{kind} ({exchange}): {outcome}."}
_OWN = {"zh": "{kind}：{outcome}。", "en": "{kind}: {outcome}."}
_BY = {"zh": "由{asker}发起。", "en": "Begun by {asker}."}
_BECAUSE = {"zh": "代码 {code}。", "en": "Code {code}."}
_SIGHTED = {"zh": "答复经网关可见（内嵌适配器）。", "en": "The gateway saw the answer (embedded adapter)."}
_ASSISTED = {"zh": "请求中带有证件号，用后即弃。", "en": "The request carried an identifier, forgotten at once."}
HIDDEN = frozenset({"request_salt", "answer_salt", "evidence", "children", "entry"})


def sentence(tongue: Tongue, skeleton: Mapping[str, Any], exchanges: Mapping[str, Any]) -> str:
    """One or a few sentences about an entry."""
    language = tongue.language
    words = {
        "kind": tongue.word("kind", skeleton["kind"]),
        "outcome": tongue.word("outcome", skeleton["outcome"]),
        "asker": tongue.word("department", skeleton.get("from", "")),
        "provider": tongue.word("department", skeleton.get("to", "")),
        "door": tongue.word("door", skeleton.get("door", "")),
        "purpose": tongue.word("purpose", skeleton.get("purpose", "")),
        "exchange": exchange_name(tongue, str(skeleton.get("exchange", "")), exchanges),
        "code": str(skeleton.get("code", "")),
    }
    if all(skeleton.get(name) for name in ("exchange", "from", "to", "door", "purpose")):
        parts = [(_ASKED if skeleton["kind"] == EntryKind.QUERY else _SENT)[language]]
    else:
        parts = [_ABOUT[language] if skeleton.get("exchange") else _OWN[language]]
        parts += [_BY[language]] if skeleton.get("from") else []
    parts += [_BECAUSE[language]] if words["code"] else []
    parts += [_SIGHTED[language]] if skeleton.get("sighted") else []
    parts += [_ASSISTED[language]] if skeleton.get("assisted") else []
    told = ("" if language == "zh" else " ").join(part.format(**words) for part in parts)
    return told[:1].upper() + told[1:]


def exchange_name(tongue: Tongue, exchange: str, exchanges: Mapping[str, Any]) -> str:
    """Id and name of an exchange."""
    found = exchanges.get(exchange)
    return f"{exchange} {tongue.name(found)}" if found else exchange


def detail_lines(detail: Mapping[str, Any]) -> list[tuple[str, str]]:
    """An opened detail as (key, text), without what nobody needs to read."""
    lines = [("actors", ", ".join(map(str, detail.get("actors", []))))]
    for name, value in sorted(dict(detail.get("facts", {})).items()):
        if name not in HIDDEN:
            lines.append((name, _text(value)))
    lines.append(("children", str(len(detail.get("children", [])))))
    return [(name, text) for name, text in lines if text]


def _text(value: Any) -> str:
    match value:
        case list():
            return ", ".join(_text(item) for item in value)
        case dict():
            return "; ".join(f"{name}: {_text(item)}" for name, item in sorted(value.items()))
        case _:
            return str(value)
