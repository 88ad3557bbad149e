"""The sender's warning before prose is sealed: what stands in it that may not belong there.

Nothing is cut or held back; a sender who wants it held back turns the warning into an error
(`warnings.filterwarnings("error", category=ProseWarning)`), and then nothing is sealed or sent.

Rules kept here: a warning names line, field, kind and place, never the text.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping

from gateway.domain.exchanges import Exchange
from gateway.domain.orders import FieldValue
from gateway.release.scan import Finding, scan


class ProseWarning(UserWarning):
    """Prose about to be sealed holds what may not belong there. line: number of the record. field: name. finding: kind, place."""

    def __init__(self, line: int, field: str, finding: Finding) -> None:
        super().__init__(
            f"line {line}, field {field}, characters {finding.start}-{finding.end}: {finding.kind} in free text"
            " / 自由文本中可能有不应出现的内容"
        )
        self.line = line
        self.field = field
        self.finding = finding


def warn_of_prose(
    definition: Exchange,
    line: int,
    record: Mapping[str, FieldValue],
    leaving: Mapping[str, FieldValue],
    *,
    medical: bool,
) -> None:
    """Warn once per finding in the free text of one record. record: as given by the sender, whose persons' names the text
    should not repeat. leaving: what is about to be sealed. medical: prose of a medical institution may speak of illness.

    Raises `ProseWarning` where the sender's warning filter says so.
    """
    texts = {name: str(value) for name, value in leaving.items() if definition.fields[name].type == "text"}
    if not texts:
        return
    names = [
        str(value)
        for name, value in record.items()
        if name in definition.fields and definition.fields[name].type == "name"
    ]
    for name, text in texts.items():
        for finding in scan(text, known_names=names, diagnosis_allowed=medical):
            warnings.warn(ProseWarning(line, name, finding), stacklevel=2)
