"""A register that lives in files which somebody drops into a folder: Excel or CSV, with the headings of a form.

A template (TOML) names the headings:  source = "files"   key = "档案编号"   [headings] "儿童姓名" = "xm" …
The mapping's resource has the name of the template's source; its local names are the template's columns.

Rules kept here: a file is taken when it has stopped growing, and once; a file that cannot be read is set aside (`.refused`) with
the fault noted, and everything that landed before stays; received messages become CSV files in `out`, one each, written whole.
"""

from __future__ import annotations

import asyncio
import csv
import io
import os
import time
import tomllib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from adapters.base import sheets
from adapters.base.faults import mapping_refusal
from adapters.base.landed import Landed
from adapters.base.mapping import LocalMapping
from adapters.base.records import local_content, read_records
from adapters.base.source import Inbound, LocalPerson, Record, Wanted
from gateway.errors import ProviderFault

QUIET = 2.0
"""Seconds that a dropped file must not have changed."""


@dataclass(frozen=True, slots=True)
class Template:
    """Headings of a form -> columns. defaults: columns that the form does not have and that are the same for all."""

    source: str
    key: str
    headings: Mapping[str, str]
    defaults: Mapping[str, str]


def template(path: Path) -> Template:
    """Read a template. Raises `GatewayFault("mapping_invalid")`."""
    try:
        given = tomllib.loads(path.read_text(encoding="utf-8"))
        made = Template(given["source"], given["key"], dict(given["headings"]), dict(given.get("defaults", {})))
    except (OSError, ValueError, KeyError, TypeError):
        raise mapping_refusal("template_unreadable") from None
    if made.key not in made.headings.values() or len(set(made.headings.values())) != len(made.headings):
        raise mapping_refusal("template_key")
    return made


class DropRegister:
    """A department whose register is a folder of files. store: where landed rows are kept."""

    def __init__(
        self,
        folder: Path,
        form: Template,
        store: Path,
        mapping: LocalMapping,
        *,
        noted: Callable[[str, str], None] | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._folder = folder
        self._form = form
        self._mapping = mapping
        self._landed = Landed(store)
        self._noted = noted
        self._now = now

    async def read(self, wanted: Wanted) -> Mapping[str, Record]:
        """Records by key, after what was dropped meanwhile has landed. Raises `ProviderFault`."""
        await self.collect()
        return landed_records(self._landed, self._mapping, wanted)

    async def collect(self) -> int:
        """Land every complete file that is new; how many rows. A refused file is set aside and noted."""
        count = 0
        for path in sorted(self._folder.glob("*.[cCxX]*")):
            if path.suffix.lower() not in (".csv", ".xlsx") or self._now() - path.stat().st_mtime < QUIET:
                continue
            digest = await asyncio.to_thread(_digest, path)
            if self._landed.known(path.name, digest):
                continue
            form = self._form
            rows = ({**form.defaults, **row} for row in sheets.rows(path, self._mapping.charset, form.headings))
            try:
                count += await self._landed.land(form.source, path.name, digest, rows, form.key)
            except ProviderFault as fault:
                path.rename(path.with_name(path.name + ".refused"))
                if self._noted is not None:
                    self._noted(path.name, fault.code)
        return count

    async def take(self, message: Inbound) -> None:
        """Write a message as a CSV file of its own, once. Raises `ProviderFault`."""
        data = message_csv(message, self._mapping)
        out = self._folder / "out"
        try:
            out.mkdir(mode=0o700, exist_ok=True)
            await asyncio.to_thread(_write_whole, out / message_name(message), data)
        except OSError:
            raise ProviderFault("provider_unavailable") from None

    async def people(self) -> AsyncIterator[LocalPerson]:
        """Every record's key and numbers, by key. Raises `ProviderFault`."""
        await self.collect()
        for person in landed_people(self._landed, self._mapping):
            yield person

    async def probe(self) -> None:
        """Raises `ProviderFault` when the folder is not there."""
        if not await asyncio.to_thread(self._folder.is_dir):
            raise ProviderFault("provider_unavailable")

    async def close(self) -> None:
        """Close the store."""
        self._landed.close()


def landed_records(landed: Landed, mapping: LocalMapping, wanted: Wanted) -> Mapping[str, Record]:
    """Records by key from landed rows, with the wanted columns only. Raises `ProviderFault`."""
    mapped = mapping.exchanges[wanted.exchange]
    rows = landed.read(mapped.resource.name, wanted.keys)
    return read_records(rows.values(), mapped, wanted, made_here=True)


def landed_people(landed: Landed, mapping: LocalMapping) -> Iterator[LocalPerson]:
    """Keys and numbers of the identity resource's rows, by key."""
    for key, row in landed.all(mapping.identity.name):
        yield LocalPerson(key, tuple((kind, str(row[local])) for kind, local in mapping.numbers if row.get(local)))


def message_name(message: Inbound) -> str:
    """The file name of a message: exchange and a digest of the delivery, so that a repeat has the same one."""
    return f"{message.exchange}-{sha256(message.delivery.encode()).hexdigest()[:24]}.csv"


def message_csv(message: Inbound, mapping: LocalMapping) -> bytes:
    """A message's lines as CSV in the department's character set. A value that a spreadsheet would take for a formula gets an
    apostrophe in front, as spreadsheets themselves mark text (OWASP, CSV injection).

    Raises `ProviderFault("provider_refused")` for a character that the character set does not have.
    """
    inbound = mapping.inbound[message.exchange]
    columns = list(dict.fromkeys(field.local for field in inbound.values()))
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\r\n")
    writer.writerow(["message", "record", "alias", *columns])
    for line in message.lines:
        content = local_content(line, inbound)
        cells = [_cell(content.get(column)) for column in columns]
        alias = "" if line.record else line.subject or ""
        writer.writerow([f"{message.delivery}:{line.number}", line.record or "", alias, *cells])
    try:
        return buffer.getvalue().encode(mapping.charset)
    except UnicodeEncodeError:
        raise ProviderFault("provider_refused") from None


def _cell(value: object) -> str:
    text = ",".join(map(str, value)) if isinstance(value, list) else "" if value is None else str(value)
    if "\x00" in text:
        raise ProviderFault("provider_refused")
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        digest = sha256()
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def _write_whole(path: Path, data: bytes) -> None:
    part = path.with_suffix(".part")
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
