"""One exchange from one TOML file, refused unless the law lets it stand.

Rules kept here: an exchange that carries personal information cites a law or administrative regulation (PIPL 34; a notice
alone never suffices); L4 and L5 name an approved impact assessment (PIPL 55-56, C04); both sides name a responsible post
(C61); every field has a known type and a known class; a gate reads a gate field.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from gateway.domain.exchanges import Citation, Exchange, Field, GateRule
from gateway.domain.vocabulary import (
    ConsentCode,
    Department,
    Door,
    ExchangeState,
    Level,
    Pattern,
    Profile,
    ScopeKind,
)
from policies.catalogue.publishing import read_generalisation, read_table
from policies.catalogue.reading import Table

PLAIN_TYPES = frozenset(
    [
        "yes_no",
        "date",
        "org_code",
        "region",
        "name",
        "phone",
        "id_number",
        "text",
        "integer",
        "record_id",
        "period",
        "address",
        "instant",
        "band",
    ]
)
TABLE_TYPES = frozenset({"code", "codes"})
STANDARDS = frozenset({"icd10"})  # too large to list; a release takes such a code only where its form is known
SIDES = ("provider", "consumer")
_NAME = re.compile(r"[a-z][a-z0-9_]{1,40}\Z")
_ID = re.compile(r"X[0-9]{2}\Z")
_CODE = re.compile(r"[a-z][a-z_]{3,40}\Z")
_REACHES = ("own", "rule")


def read_exchange(
    name: str, text: str, *, purposes: Mapping[str, str], classes: Mapping[str, str], assessments: Mapping[str, str]
) -> Exchange:
    """The exchange that a file defines.

    purposes, classes: known codes with their Chinese names. assessments: reference of every approved assessment with
    the exchange it is for. Raises `CatalogueError` with a sentence that names the place.
    """
    table = Table.of_text(text, name)
    exchange_id = table.text("id")
    if not _ID.fullmatch(exchange_id) or name != f"{exchange_id}.toml":
        raise table.refusal("`id` must be like X01 and be the name of the file")
    purpose = table.text("purpose")
    if purpose not in purposes:
        raise table.refusal("`purpose` is no known purpose")
    reach = table.text("reach")
    if reach not in _REACHES:
        raise table.refusal("`reach` must be own or rule")
    consent, scopes = _consumers(table.table("consumers"))
    fields = _fields(table.table("fields"), classes)
    counts, coarser = table.optional_table("table"), table.optional_table("generalisation")
    exchange = Exchange(
        id=exchange_id,
        zh=table.text("zh"),
        en=table.text("en"),
        state=table.word("state", ExchangeState),
        pattern=table.word("pattern", Pattern),
        purpose=purpose,
        providers=table.words("providers", Department),
        consumers=tuple(consent),
        level=table.word("level", Level),
        profile=table.word("profile", Profile),
        share=table.text("share"),
        citations=tuple(_citation(each) for each in table.tables("citations")),
        consent=consent,
        scopes=scopes,
        fields=fields,
        gates=tuple(_gate(each, fields) for each in table.tables("gates")),
        personal=table.flag("personal", default=True),
        case_bound=table.flag("case_bound", default=True),
        assisted=table.flag("assisted"),
        reach=reach,
        ttl_hours=table.count("ttl_hours", 72) or 72,
        retention=table.text("retention"),
        retention_days=table.count("retention_days"),
        responsible=_responsible(table.table("responsible")),
        assessment=table.optional_text("assessment"),
        seed=table.text("seed"),
        table=read_table(exchange_id, counts) if counts else None,
        generalisation=read_generalisation(coarser, fields) if coarser else None,
    )
    outside = (table.optional_text("external_provider"), table.optional_text("external_consumer"))
    _require_lawful(table, exchange, assessments)
    _require_complete(table, exchange, outside)
    table.finish()
    return exchange


def _consumers(table: Table) -> tuple[dict[Department, ConsentCode], dict[Department, ScopeKind]]:
    consent: dict[Department, ConsentCode] = {}
    scopes: dict[Department, ScopeKind] = {}
    for key, entry in table.entries():
        if key not in set(Department):
            raise table.refusal("a consumer is no known department")
        department = Department(key)
        consent[department] = entry.word("consent", ConsentCode)
        scopes[department] = entry.word("scope", ScopeKind)
        entry.finish()
    return consent, scopes


def _citation(table: Table) -> Citation:
    citation = Citation(law=table.text("law"), articles=table.text("articles"), statute=table.flag("statute"))
    table.finish()
    return citation


def _gate(table: Table, fields: Mapping[str, Field]) -> GateRule:
    gate = GateRule(
        field=table.text("field"),
        equals=table.texts("equals"),
        code=table.text("code"),
        doors=frozenset(table.words("doors", Door)),
    )
    table.finish()
    if gate.field not in fields or not fields[gate.field].gate:
        raise table.refusal("`field` must be a gate field of this exchange")
    if not gate.equals or not gate.doors or not _CODE.fullmatch(gate.code):
        raise table.refusal("a gate needs values, doors and a code in snake_case")
    return gate


def _responsible(table: Table) -> dict[str, str]:
    posts = {side: table.text(side) for side in SIDES}
    table.finish()
    return posts


def _fields(table: Table, classes: Mapping[str, str]) -> dict[str, Field]:
    return {name: _field(name, entry, classes) for name, entry in table.entries()}


def _field(name: str, table: Table, classes: Mapping[str, str]) -> Field:
    if not _NAME.fullmatch(name):
        raise table.refusal("a field's name is snake_case")
    kind, _, coding = (type_ := table.text("type")).partition(":")
    if not ((kind in PLAIN_TYPES and not coding) or (kind in TABLE_TYPES and _NAME.fullmatch(coding))):
        raise table.refusal("`type` is no known type")
    values = table.texts("values")
    if kind in {*TABLE_TYPES, "band"} and not values and coding not in STANDARDS:
        raise table.refusal("a coded field lists its `values`")
    field_class = table.text("class")
    if field_class not in classes:
        raise table.refusal("`class` is no known field class")
    gate = table.flag("gate")
    if gate != (field_class == "gate"):
        raise table.refusal("a field is marked `gate` exactly if its class is gate")
    if (kind == "record_id") != (field_class == "reference"):
        raise table.refusal("a record id, and nothing else, is of class reference")
    field = Field(
        name=name,
        zh=table.text("zh"),
        en=table.text("en"),
        type=type_,
        field_class=field_class,
        gate=gate,
        required=table.flag("required"),
        sealed=table.optional_flag("sealed"),
        values=values,
    )
    table.finish()
    return field


def _require_lawful(table: Table, exchange: Exchange, assessments: Mapping[str, str]) -> None:
    if exchange.personal and not any(citation.statute for citation in exchange.citations):
        raise table.refusal("personal information needs a law or administrative regulation (PIPL 34); none is cited")
    if exchange.level in (Level.L4, Level.L5) and assessments.get(exchange.assessment or "") != exchange.id:
        raise table.refusal("L4 and L5 need an approved impact assessment of this exchange (PIPL 55)")
    if not exchange.personal and exchange.level in (Level.L4, Level.L5):
        raise table.refusal("L4 and L5 are levels of personal information")
    if exchange.personal and ConsentCode.NO_PERSONAL_DATA in exchange.consent.values():
        raise table.refusal("consent code `-` says that there is no personal information")


def _require_complete(table: Table, exchange: Exchange, outside: tuple[str | None, str | None]) -> None:
    provider, consumer = outside
    if exchange.state is ExchangeState.SERVED and (provider or consumer):
        raise table.refusal("an exchange with a side outside the five departments stays declared")
    if not exchange.providers and not provider:
        raise table.refusal("an exchange has a provider")
    if not exchange.consumers and not consumer:
        raise table.refusal("an exchange has a consumer")
    if not exchange.fields:
        raise table.refusal("an exchange has fields")
    if (exchange.table or exchange.generalisation) and exchange.personal:
        raise table.refusal("only an exchange without personal information publishes")
    if exchange.state is ExchangeState.SERVED and exchange.pattern is Pattern.COMPARE:
        raise table.refusal("COMPARE stays declared")
