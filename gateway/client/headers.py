"""Headers for one request that curl or another program will send: what `runxin token` prints.

Rules kept here: headers are made for the configured gateway only, so a token and an officer's assertion go nowhere else.
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from gateway.client.configuration import load
from gateway.client.sync import RunxinClient
from gateway.errors import BadRequest


def headers_for(config: Path, *, method: str, url: str, body: bytes) -> dict[str, str]:
    """Token (fetched now), request proof and, where an officer is configured, the assertion.

    config: see `configuration.load`. url: the request's full URL, at the configured gateway. Raises
    `BadRequest("configuration_invalid")` (fact: member) where the URL is another gateway's.
    """
    configuration = load(config)
    asked, own = urlsplit(url), urlsplit(configuration.gateway)
    if (asked.scheme, asked.netloc) != (
        own.scheme,
        own.netloc,
    ) and f"{asked.scheme}://{asked.netloc}" != configuration.origin:
        raise BadRequest("configuration_invalid", member="gateway")
    with RunxinClient(configuration) as client:
        return client.headers(method.upper(), asked.path or "/", body)
