"""How the gateway reaches its OpenID Connect provider: discovery, keys, and the exchange of a code.

Rules kept here: bounded answers, no redirect followed, no proxy that the environment names; what was fetched is used for ten minutes;
an unknown key id makes the keys be read again, but not more often than twice a minute; whatever goes wrong on the way is
`OpenIdUnavailable` and names nothing that came from outside.
"""

from __future__ import annotations

import asyncio
import base64
import ssl
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2

from gateway.identity.openid import LONGEST_TOKEN, Attempt, OpenIdUnsound, Provider, find_key, key_id, read_discovery
from gateway.identity.statements import Unsound, object_of

LONGEST_ANSWER = 256 * 1024
FRESH_SECONDS = 600
AGAIN_SECONDS = 30
_SECONDS = 8.0


class OpenIdUnavailable(Exception):  # noqa: N818 - named like its sibling `OpenIdUnsound`
    """The provider did not answer as it should."""


class OpenIdClient:
    """One worker's way to the provider. issuer: pinned. secret: "" for a public client. authority: PEM file of the provider's CA.
    monotonic: seconds, for tests.
    """

    def __init__(
        self,
        issuer: str,
        client_id: str,
        *,
        secret: str = "",
        authority: Path | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.issuer = issuer
        self.client_id = client_id
        self._secret = secret
        self._monotonic = monotonic
        self._trust = ssl.create_default_context(cafile=None if authority is None else str(authority))
        self._turn = asyncio.Lock()
        self._provider: tuple[float, Provider] | None = None
        self._keys: tuple[float, list[Mapping[str, Any]]] | None = None

    async def provider(self) -> Provider:
        """The provider, as it describes itself. Raises `OpenIdUnavailable`, `OpenIdUnsound`."""
        async with self._turn:
            return await self._described()

    async def id_token(self, code: str, attempt: Attempt, redirect: str) -> tuple[str, Mapping[str, Any]]:
        """(ID token, the key that it names) for a code. Raises `OpenIdUnavailable`, `OpenIdUnsound`."""
        provider = await self.provider()
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect,
            "code_verifier": attempt.verifier,
        }
        headers = {}
        if self._secret and provider.basic:
            # RFC 6749, 2.3.1: each half is form-encoded before it is put together.
            pair = f"{quote(self.client_id, safe='')}:{quote(self._secret, safe='')}"
            headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        else:
            form["client_id"] = self.client_id
            if self._secret:
                form["client_secret"] = self._secret
        answer = await self._call("POST", provider.token, data=form, headers=headers, refused="code")
        token = answer.get("id_token")
        if not isinstance(token, str) or not 0 < len(token) <= LONGEST_TOKEN:
            raise OpenIdUnsound("no_token")
        return token, await self._key(key_id(token))

    async def _key(self, kid: str) -> Mapping[str, Any]:
        async with self._turn:
            now = self._monotonic()
            if self._keys is None or now - self._keys[0] > FRESH_SECONDS:
                self._keys = (now, await self._fetched_keys())
            found = find_key(self._keys[1], kid)
            if found is None and now - self._keys[0] > AGAIN_SECONDS:
                self._keys = (now, await self._fetched_keys())
                found = find_key(self._keys[1], kid)
        if found is None:
            raise OpenIdUnsound("key")
        return found

    async def _fetched_keys(self) -> list[Mapping[str, Any]]:
        document = await self._call("GET", (await self._described()).keys)
        keys = document.get("keys")
        if not isinstance(keys, list):
            raise OpenIdUnavailable
        return [one for one in keys if isinstance(one, dict)]

    async def _described(self) -> Provider:
        now = self._monotonic()
        if self._provider is None or now - self._provider[0] > FRESH_SECONDS:
            document = await self._call("GET", f"{self.issuer.rstrip('/')}/.well-known/openid-configuration")
            self._provider = (now, read_discovery(document, self.issuer))
        return self._provider[1]

    async def _call(
        self,
        method: str,
        url: str,
        *,
        data: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        refused: str = "",
    ) -> dict[str, Any]:
        """A JSON object. refused: why, where the provider answers 4xx; "" where that is as good as no answer."""
        try:
            async with (
                asyncio.timeout(2 * _SECONDS),
                httpx2.AsyncClient(timeout=_SECONDS, trust_env=False, verify=self._trust) as http,
                http.stream(method, url, data=data, headers=headers) as answer,
            ):
                read = bytearray()
                async for part in answer.aiter_bytes():
                    read += part
                    if len(read) > LONGEST_ANSWER:
                        raise OpenIdUnavailable
                if refused and 400 <= answer.status_code < 500:
                    raise OpenIdUnsound(refused)
                if answer.status_code != 200:
                    raise OpenIdUnavailable
                return object_of(bytes(read))
        except (httpx2.HTTPError, httpx2.InvalidURL, Unsound, OSError) as error:
            # Its text may repeat an address with a code in it.
            raise OpenIdUnavailable from error
