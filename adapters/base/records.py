"""One local row read as a `Record`: key, region, birth date and the wanted fields.

Rules kept here: a column that was not asked for is counted and dropped before anything looks at its value; a row without key or region
is garbage.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from adapters.base import values
from adapters.base.mapping import ExchangeMapping
from adapters.base.source import Record, Wanted
from gateway.errors import ProviderFault

_REGION = re.compile(r"[1-9]\d{5}(\d{3}){0,2}", re.ASCII)


def read_record(row: Mapping[str, Any], mapped: ExchangeMapping, wanted: Wanted) -> Record:
    """Raises `ProviderFault`: `provider_garbage`, `provider_code_unknown`, naming catalogue fields only."""
    asked = mapped.columns(wanted.fields, birth=wanted.birth)
    resource = mapped.resource
    try:
        key, region = values.text(row[resource.key]), values.text(row[resource.region])
        born = None
        if wanted.birth and resource.birth is not None and row.get(resource.birth):
            born = values.day(row[resource.birth])
    except (KeyError, ValueError):
        raise ProviderFault("provider_garbage") from None
    if not key or not _REGION.fullmatch(region):
        raise ProviderFault("provider_garbage")
    read = {}
    for name in sorted(wanted.fields):
        mapping = mapped.fields[name]
        value = mapping.read(row.get(mapping.local))
        if value is not None:
            read[name] = value
    return Record(key, region, born, read, surplus=len(set(row) - set(asked)))
