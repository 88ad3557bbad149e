"""Reads the prose of a full-identity exchange at its sender, before sealing, for what does not belong there.

Nothing is cut: the sender is warned and decides. Found are digits by arithmetic and words by closed lists; names only where
they are known beforehand, carry a middle dot, or follow a word that announces one. No model runs here.

Rules kept here: a finding is a kind and a place, never the text; full-width spelling hides nothing; places are those of the
text as given, so that the sender's screen can mark them.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from gateway.release.detectors import find

_DIGITS = re.compile(r"[GLJglj]?[0-9](?:[ .\-_/·]?[0-9]){9,63}[ .\-_/·]?[Xx]?", re.ASCII)
_ADDRESS = re.compile(
    r"[^\W\d_]{2,20}(?:路|街|巷|弄|村|镇|乡|街道|小区|社区|屯|组)(?:第?[0-9一二三四五六七八九十百零]{1,5}(?:号|组|栋|幢|单元|室|弄|楼))+"
)
_DOTTED_NAME = re.compile(r"[\u4e00-\u9fff]{1,8}[·•・‧∙][\u4e00-\u9fff]{1,8}(?:[·•・‧∙][\u4e00-\u9fff]{1,8})?")
_ANNOUNCED_NAME = re.compile(
    r"(?:名叫|叫做|姓名[:：]?|其母|其父|母亲|父亲|爷爷|奶奶|外公|外婆|监护人|班主任|同学)"
    r"([王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗梁宋郑谢韩唐冯于董萧程曹袁邓许傅沈曾彭吕苏卢蒋蔡贾丁魏薛叶阎余潘杜戴夏钟汪田任姜范方石姚谭廖邹熊金陆郝孔白崔康毛邱秦江史顾侯邵孟龙万段雷钱汤尹黎易常武乔贺赖龚文]"
    r"[\u4e00-\u9fff]{1,2})(?![\u4e00-\u9fff])"
)
_ICD = re.compile(r"(?<![A-Za-z0-9])F[0-9]{2}(?:\.[0-9]{1,3})?(?![A-Za-z0-9])")
_CLINICAL = re.compile(
    r"抑郁症|双相(?:情感)?障碍|精神分裂症?|焦虑症|强迫症|孤独症|自闭症|多动症|创伤后应激障碍|精神科|心身科|精神病院"
    r"|舍曲林|氟西汀|氟伏沙明|艾司西酞普兰|阿立哌唑|利培酮|喹硫平|奥氮平|碳酸锂|丙戊酸钠|哌甲酯|托莫西汀"
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One place in a text. kind: `id_number`, `student_number`, `phone`, `bank_card`, `address`, `name`, `diagnosis`.

    start, end: character positions in the text as given.
    """

    kind: str
    start: int
    end: int


def scan(text: str, *, known_names: Iterable[str] = (), diagnosis_allowed: bool = False) -> tuple[Finding, ...]:
    """What stands in `text` that may not belong there, in the order of places.

    known_names: names of persons in the sender's record (at least two characters each) that the prose should not repeat.
    diagnosis_allowed: True for medical institutions, whose prose may speak of illness.
    """
    folded = "".join(_fold(character) for character in text)
    found = {Finding(kind, *run.span()) for run in _DIGITS.finditer(folded) for kind in find(run[0])}
    patterns = [("address", _ADDRESS, 0), ("name", _DOTTED_NAME, 0), ("name", _ANNOUNCED_NAME, 1)]
    if not diagnosis_allowed:
        patterns += [("diagnosis", _ICD, 0), ("diagnosis", _CLINICAL, 0)]
    for kind, pattern, group in patterns:
        found.update(Finding(kind, *hit.span(group)) for hit in pattern.finditer(folded))
    for name in known_names:
        if len(name) >= 2:
            found.update(Finding("name", *hit.span()) for hit in re.finditer(re.escape(name), folded))
    return tuple(sorted(found, key=lambda one: (one.start, one.end, one.kind)))


def _fold(character: str) -> str:
    # One character for one, so that places stay true.
    folded = unicodedata.normalize("NFKC", character)
    if len(folded) != 1:
        return character
    return str(unicodedata.decimal(folded)) if folded.isdecimal() else folded
