"""The mapping file of a department (TOML): local field -> catalogue field, code tables, character set.

Rules kept here: a mapping is validated whole before anything starts, and one that names an unknown exchange, field, code table or code
refuses to start (`mapping_invalid`); local names leave the department nowhere, so no error about a record names one; a local code
without a counterpart is a fault, never passed on.

    department = "education"            charset = "utf-8" | "gb18030"
    [resources.pupils]                  name, key, region, birth: local names (birth optional)
    [identity]                          resource, and [[identity.numbers]] kind, local: tried in order
    [codes.<table>]                     "local" = "catalogue"; "" means that the code says nothing of this field
    [exchanges.X02]                     resource; [exchanges.X02.fields] <field> = {local, form?, codes?, split?}
    [inbound.X13]                       <field> = {local, codes?}: what receives a message's field; codes are read backwards
"""

from __future__ import annotations

import dataclasses
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from adapters.base.faults import mapping_refusal
from adapters.base.values import FORMS, Reader, reader
from gateway.domain.exchanges import Exchange
from gateway.domain.orders import FieldValue
from gateway.domain.vocabulary import Department
from gateway.errors import ProviderFault

T = TypeVar("T")

CHARSETS = ("utf-8", "gb18030")
# A local name is letters (of any script), digits, underscore; one dot may part schema and table.
_LOCAL = re.compile(r"[^\W\d][\w]{0,62}(\.[^\W\d][\w]{0,62})?")
_KINDS = ("cn-rid", "cn-birth", "cn-passport", "cn-hkmo", "cn-tw", "issued")


@dataclass(frozen=True, slots=True)
class Resource:
    """A view, table or path of the departmental system. region: at least six digits. birth: column of the birth date."""

    name: str
    key: str
    region: str
    birth: str | None = None


@dataclass(frozen=True, slots=True)
class FieldMapping:
    """One catalogue field. form: how the local value is read (`values.FORMS`). codes: local -> catalogue. split: separator of lists."""

    field: str
    local: str
    form: str = "text"
    codes: Mapping[str, str] | None = None
    split: str | None = None
    _read: Reader = dataclasses.field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_read", reader(form=self.form, codes=self.codes, split=self.split))

    def read(self, value: Any) -> FieldValue | None:
        """The catalogue's value of a local one; None if there is none. Raises as `read_all` does."""
        return self.read_all((value,))[0]

    def read_all(self, values: Iterable[Any]) -> list[FieldValue | None]:
        """The catalogue's values of local ones, in their order.

        Raises `ProviderFault`: `provider_code_unknown` or `provider_garbage`, naming the catalogue field only.
        """
        try:
            return [*map(self._read, values)]
        except LookupError:
            raise ProviderFault("provider_code_unknown", field=self.field) from None
        except (ValueError, TypeError):
            raise ProviderFault("provider_garbage", field=self.field) from None


@dataclass(frozen=True, slots=True)
class ExchangeMapping:
    """Where an exchange's fields are found."""

    resource: Resource
    fields: Mapping[str, FieldMapping]

    def columns(self, names: frozenset[str], *, birth: bool) -> tuple[str, ...]:
        """The local columns that these catalogue fields need, with key and region, each once; nothing else is fetched."""
        wanted = [self.resource.key, self.resource.region]
        if birth and self.resource.birth is not None:
            wanted.append(self.resource.birth)
        wanted += [self.fields[name].local for name in sorted(names)]
        return tuple(dict.fromkeys(wanted))


@dataclass(frozen=True, slots=True)
class InboundField:
    """Where a received field is stored. codes: catalogue -> local."""

    local: str
    codes: Mapping[str, str] | None = None

    def write(self, value: FieldValue) -> FieldValue:
        """The local value of a catalogue's; a code without a counterpart stays as it came."""
        if self.codes is None:
            return value
        if isinstance(value, list):
            return [self.codes.get(item, item) for item in value]
        return self.codes.get(str(value), value)


@dataclass(frozen=True, slots=True)
class LocalMapping:
    """A department's whole mapping, valid against the catalogue's definitions that it was read with."""

    department: Department
    charset: str
    identity: Resource
    numbers: tuple[tuple[str, str], ...]
    exchanges: Mapping[str, ExchangeMapping]
    inbound: Mapping[str, Mapping[str, InboundField]] = dataclasses.field(default_factory=dict)


def load(path: Path, exchanges: Mapping[str, Exchange]) -> LocalMapping:
    """Read and validate a mapping file. Raises `GatewayFault("mapping_invalid", reason=…)`."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise mapping_refusal("unreadable") from None
    return parse(document, exchanges)


def parse(document: dict[str, Any], exchanges: Mapping[str, Exchange]) -> LocalMapping:
    """A mapping from a parsed document. Raises `GatewayFault("mapping_invalid", reason=…)`."""
    _closed(document, {"department", "charset", "resources", "identity", "codes", "exchanges"}, {"inbound"})
    try:
        department = Department(document["department"])
    except ValueError:
        raise mapping_refusal("department_unknown") from None
    if document["charset"] not in CHARSETS:
        raise mapping_refusal("charset_unknown")
    resources = {name: _resource(given) for name, given in document["resources"].items()}
    codes = {name: _codes(given) for name, given in document["codes"].items()}
    identity = document["identity"]
    _closed(identity, {"resource", "numbers"})
    return LocalMapping(
        department=department,
        charset=document["charset"],
        identity=_named(resources, identity["resource"], "resource_unknown"),
        numbers=tuple(_number(given) for given in identity["numbers"]),
        exchanges={
            name: _exchange(given, _provided(exchanges, name, department), resources, codes)
            for name, given in document["exchanges"].items()
        },
        inbound={
            name: _inbound(given, _consumed(exchanges, name, department), codes)
            for name, given in document.get("inbound", {}).items()
        },
    )


def _provided(exchanges: Mapping[str, Exchange], name: str, department: Department) -> Exchange:
    exchange = _named(exchanges, name, "exchange_unknown")
    if department not in exchange.providers:
        raise mapping_refusal("exchange_not_provided", exchange=name)
    return exchange


def _consumed(exchanges: Mapping[str, Exchange], name: str, department: Department) -> Exchange:
    exchange = _named(exchanges, name, "exchange_unknown")
    if department not in exchange.consumers:
        raise mapping_refusal("exchange_not_consumed", exchange=name)
    return exchange


def _exchange(
    given: dict[str, Any], exchange: Exchange, resources: Mapping[str, Resource], codes: Mapping[str, Mapping[str, str]]
) -> ExchangeMapping:
    _closed(given, {"resource", "fields"})
    mapped = {name: _field(name, entry, exchange, codes) for name, entry in given["fields"].items()}
    for name, definition in exchange.fields.items():
        if definition.required and name not in mapped:
            raise mapping_refusal("required_field_unmapped", exchange=exchange.id, field=name)
    return ExchangeMapping(_named(resources, given["resource"], "resource_unknown"), mapped)


def _field(
    name: str, given: dict[str, Any], exchange: Exchange, codes: Mapping[str, Mapping[str, str]]
) -> FieldMapping:
    _closed(given, {"local"}, {"form", "codes", "split"})
    definition = exchange.fields.get(name)
    if definition is None:
        raise mapping_refusal("field_unknown", exchange=exchange.id, field=_short(name))
    table = _named(codes, given["codes"], "code_table_unknown") if "codes" in given else None
    if table is not None and definition.values and not set(table.values()) <= {*definition.values, ""}:
        raise mapping_refusal("code_outside_catalogue", exchange=exchange.id, field=name)
    form = given.get("form", "text")
    if form not in FORMS:
        raise mapping_refusal("form_unknown", exchange=exchange.id, field=name)
    return FieldMapping(name, _local(given["local"]), form, table, given.get("split"))


def _inbound(
    given: dict[str, Any], exchange: Exchange, codes: Mapping[str, Mapping[str, str]]
) -> Mapping[str, InboundField]:
    if set(given) != set(exchange.fields):
        raise mapping_refusal("inbound_fields_differ", exchange=exchange.id)
    out = {}
    for name, entry in given.items():
        _closed(entry, {"local"}, {"codes"})
        table = _named(codes, entry["codes"], "code_table_unknown") if "codes" in entry else None
        out[name] = InboundField(_local(entry["local"]), {v: k for k, v in table.items()} if table else None)
    return out


def _resource(given: dict[str, Any]) -> Resource:
    _closed(given, {"name", "key", "region"}, {"birth"})
    birth = _local(given["birth"]) if "birth" in given else None
    return Resource(_local(given["name"]), _local(given["key"]), _local(given["region"]), birth)


def _codes(given: dict[str, Any]) -> Mapping[str, str]:
    if not given or not all(isinstance(v, str) for v in given.values()):
        raise mapping_refusal("code_table_invalid")
    return given


def _number(given: dict[str, Any]) -> tuple[str, str]:
    _closed(given, {"kind", "local"})
    if given["kind"] not in _KINDS:
        raise mapping_refusal("identifier_kind_unknown")
    return given["kind"], _local(given["local"])


def _local(name: Any) -> str:
    if not isinstance(name, str) or not _LOCAL.fullmatch(name):
        raise mapping_refusal("local_name_invalid")
    return name


def _named(table: Mapping[str, T], name: Any, reason: str) -> T:
    found = table.get(name) if isinstance(name, str) else None
    if found is None:
        raise mapping_refusal(reason, name=_short(name))
    return found


def _closed(given: Any, required: set[str], optional: set[str] | None = None) -> None:
    if not isinstance(given, dict):
        raise mapping_refusal("not_a_table")
    if missing := required - set(given):
        raise mapping_refusal("member_missing", name=min(missing))
    if unknown := set(given) - required - (optional or set()):
        raise mapping_refusal("member_unknown", name=_short(min(unknown)))


def _short(name: Any) -> str:
    return str(name)[:64]
