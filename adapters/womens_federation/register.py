"""The 12338 register: nightly CSV files fetched over SFTP, landed, read from the landed rows; tickets put back as CSV.

Rules kept here: a partial file is left alone until its marker is true; a file that was delivered before lands once; a corrected
one replaces its own rows; a file that cannot be read is remembered as refused and everything before it stays; the register
answers from what has landed when the vendor is away.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

from adapters.base import sheets
from adapters.base.calls import Calls
from adapters.base.drop import Template, landed_people, landed_records, message_csv, message_name
from adapters.base.landed import Landed
from adapters.base.mapping import LocalMapping
from adapters.base.source import Inbound, LocalPerson, Record, Wanted
from adapters.womens_federation import sftp
from gateway.errors import ProviderFault


class NightlyRegister:
    """A department whose register comes every night. store: where landed rows are kept; noted: told (file name, code) of refusals."""

    def __init__(
        self,
        account: sftp.Account,
        form: Template,
        store: Path,
        mapping: LocalMapping,
        calls: Calls | None = None,
        *,
        noted: Callable[[str, str], None] | None = None,
    ) -> None:
        self._account = account
        self._form = form
        self._mapping = mapping
        self._calls = calls or Calls()
        self._landed = Landed(store)
        self._refused: set[tuple[str, str]] = set()
        self._noted = noted
        self._collecting = asyncio.Lock()

    async def collect(self) -> int:
        """Fetch and land every complete file that is new; how many rows. Raises `ProviderFault`."""
        async with self._collecting:
            return await self._calls.read(self._collect)

    async def _collect(self) -> int:
        count = 0
        with tempfile.TemporaryDirectory(prefix="runxin-") as folder:
            async with sftp.connected(self._account) as session:
                for file in await sftp.marked(session, self._account):
                    if self._landed.known(file.name, file.digest) or (file.name, file.digest) in self._refused:
                        continue
                    path = await sftp.fetch(session, self._account, file, Path(folder))
                    if path is not None:
                        count += await self._land(path, file)
        return count

    async def _land(self, path: Path, file: sftp.Marked) -> int:
        form = self._form
        rows = ({**form.defaults, **row} for row in sheets.rows(path, self._mapping.charset, form.headings))
        try:
            return await self._landed.land(form.source, file.name, file.digest, rows, form.key)
        except ProviderFault as fault:
            self._refused.add((file.name, file.digest))
            if self._noted is not None:
                self._noted(file.name, fault.code)
            return 0
        finally:
            path.unlink()

    async def read(self, wanted: Wanted) -> Mapping[str, Record]:
        """Records by key, as of the last file. Raises `ProviderFault` for unreadable rows."""
        return landed_records(self._landed, self._mapping, wanted)

    async def take(self, message: Inbound) -> None:
        """Put a message as one CSV file; a second hand-out puts nothing. Raises `ProviderFault`."""
        if self._landed.written(message.delivery):
            return
        data = message_csv(message, self._mapping)

        async def put() -> None:
            async with sftp.connected(self._account) as session:
                await sftp.put(session, self._account, message_name(message), data)

        await self._calls.write(put)
        self._landed.note_written(message.delivery)

    async def people(self) -> AsyncIterator[LocalPerson]:
        """Every record's key and numbers, after tonight's files have landed. Raises `ProviderFault`."""
        await self.collect()
        for person in landed_people(self._landed, self._mapping):
            yield person

    async def probe(self) -> None:
        """Raises `ProviderFault` when the server cannot be reached or is another one."""

        async def look() -> None:
            async with sftp.connected(self._account):
                pass

        await self._calls.read(look)

    async def close(self) -> None:
        """Close the store."""
        self._landed.close()
