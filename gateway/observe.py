"""Logs and metrics of the process: what an operator needs, and nothing about anybody.

Rules kept here: log events are words from an allow-list with keys from an allow-list; values are codes, counts and
durations; a key that is not listed is dropped, whatever it holds. Audit is another verb (`gateway/audit`).
"""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog
from prometheus_client import Counter, Histogram, start_http_server

ALLOWED_KEYS = frozenset(
    {
        "event",
        "level",
        "timestamp",
        "code",
        "status",
        "route",
        "method",
        "exchange",
        "department",
        "count",
        "seconds",
        "version",
        "kind",
        "address",
        "size",
        "exception",
    }
)

REQUESTS = Counter("runxin_requests_total", "Requests by route and status.", ["route", "status"])
SECONDS = Histogram("runxin_request_seconds", "Seconds from the first byte to the answer.", ["route"])
REFUSALS = Counter("runxin_refusals_total", "Refusals by stable code.", ["code"])
ENTRIES = Counter("runxin_audit_entries_total", "Audit entries appended by this process.", ["kind"])


def _keep_allowed(_logger: Any, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return {key: value for key, value in event.items() if key in ALLOWED_KEYS}


def _name_exception(_logger: Any, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    # Only the type: an exception's text may carry whatever was being handled.
    info = event.pop("exc_info", None)
    if isinstance(info, BaseException):
        event["exception"] = type(info).__name__
    elif info:
        kind = sys.exc_info()[0]
        event["exception"] = kind.__name__ if kind else "unknown"
    return event


def configure(level: str) -> None:
    """Set up structured logging to standard error; other libraries' loggers are kept to warnings without traces."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _name_exception,
            _keep_allowed,
            structlog.processors.JSONRenderer(ensure_ascii=False, sort_keys=True),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s", force=True)


def serve_metrics(host: str, port: int) -> None:
    """`/metrics` on a private port of its own."""
    start_http_server(port, addr=host)


log = structlog.get_logger()
