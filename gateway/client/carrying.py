"""Between httpx2 and the SDK's steps: what both carriers share.

Rules kept here: a request counts as not sent only where no connection came about; whatever else failed may have arrived.
"""

from __future__ import annotations

import httpx2

from gateway.client.session import Incoming, Lost


def read_incoming(response: httpx2.Response) -> Incoming:
    """The answer as the steps want it."""
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Incoming(response.status_code, headers, response.content)


def lost(error: httpx2.TransportError) -> Lost:
    """What a transport error means for repeating the request."""
    return Lost(sent=not isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.PoolTimeout))
