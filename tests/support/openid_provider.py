"""A small OpenID Connect provider on a port of its own: discovery, keys, code flow with PKCE; and every lie that one could tell."""

import base64
import hashlib
import hmac
import json
import secrets
import threading
import time
from urllib.parse import parse_qs, unquote, urlencode

import uvicorn
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm
from jwt.api_jws import PyJWS
from starlette.applications import Starlette
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

CLIENT, SECRET = "runxin console", "s3cret/with:marks"
RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
KEYS = {
    "RS256": (RSA_KEY, RSAAlgorithm),
    "PS256": (RSA_KEY, RSAAlgorithm),
    "ES256": (ec.generate_private_key(ec.SECP256R1()), ECAlgorithm),
    "EdDSA": (ed25519.Ed25519PrivateKey.generate(), OKPAlgorithm),
}


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def public_jwk(algorithm: str) -> dict:
    key, kind = KEYS[algorithm]
    made = kind.to_jwk(key.public_key(), as_dict=True)
    made.pop("key_ops", None)
    return made | {"kid": algorithm, "use": "sig"}


class Provider:
    """subject: who is signed in at the provider. What a test sets it may lie about; `honest` takes it all back."""

    def __init__(self, *, secret=SECRET, redirects=(), asks=False):
        self.secret, self.redirects, self.asks = secret, set(redirects), asks
        self.codes = {}
        self.honest()
        routes = [
            Route("/.well-known/openid-configuration", self._discovery),
            Route("/keys", lambda _: JSONResponse({"keys": [public_jwk(one) for one in KEYS]})),
            Route("/authorize", self._authorize),
            Route("/token", self._token, methods=["POST"]),
            Route("/end", self._end),
        ]
        config = uvicorn.Config(Starlette(routes=routes), port=0, access_log=False, log_level="warning")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run)

    def honest(self):
        self.subject = "person-0417"
        self.algorithm = "ES256"
        self.claims, self.header, self.described, self.sent = {}, {}, {}, {}
        self.checks_pkce = self.codes_once = self.up = True
        self.forge = None

    def __enter__(self):
        self._thread.start()
        while not self._server.started:
            assert self._thread.is_alive()
        self.issuer = f"http://127.0.0.1:{self._server.servers[0].sockets[0].getsockname()[1]}"
        return self

    def __exit__(self, *_):
        self._server.should_exit = True
        self._thread.join()

    # --- its pages ----------------------------------------------------------------------------------------------------

    async def _discovery(self, _request):
        if not self.up:
            return Response(status_code=503)
        told = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
            "end_session_endpoint": f"{self.issuer}/end",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": list(KEYS),
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": True,
        }
        return JSONResponse({name: value for name, value in (told | self.described).items() if value is not None})

    async def _authorize(self, request):
        asked = request.query_params
        if asked["client_id"] != CLIENT or asked["redirect_uri"] not in self.redirects:
            return Response("unknown client or redirect", 400)
        if self.asks and "yes" not in asked:
            fields = "".join(f'<input type="hidden" name="{name}" value="{asked[name]}">' for name in asked)
            return HTMLResponse(
                f'<link rel="icon" href="data:,"><h1>Provider</h1><form>{fields}<button name="yes" value="1">Enter</button></form>'
            )
        assert (asked["response_type"], asked["scope"]) == ("code", "openid")
        assert asked["code_challenge_method"] == "S256"
        code = secrets.token_urlsafe(120)
        self.codes[code] = {
            "nonce": asked["nonce"],
            "challenge": asked["code_challenge"],
            "redirect": asked["redirect_uri"],
            "acr": asked.get("acr_values", ""),
            "subject": self.subject,
        }
        back = {"code": code, "state": asked["state"], "iss": self.issuer} | self.sent
        query = urlencode({name: value for name, value in back.items() if value is not None})
        return RedirectResponse(f"{asked['redirect_uri']}?{query}", 303)

    async def _token(self, request):
        form = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
        if not self._known(request.headers.get("authorization", ""), form):
            return JSONResponse({"error": "invalid_client"}, 401)
        given = self.codes.get(form["code"]) if not self.codes_once else self.codes.pop(form["code"], None)
        if given is None or form["redirect_uri"] != given["redirect"] or form["grant_type"] != "authorization_code":
            return JSONResponse({"error": "invalid_grant"}, 400)
        if self.checks_pkce:
            digest = base64url(hashlib.sha256(form.get("code_verifier", "").encode()).digest())
            if not hmac.compare_digest(digest, given["challenge"]):
                return JSONResponse({"error": "invalid_grant"}, 400)
        now = int(time.time())
        claims = {"iss": self.issuer, "sub": given["subject"], "aud": CLIENT, "nonce": given["nonce"]}
        claims |= {"iat": now, "exp": now + 300, "acr": given["acr"]} | self.claims
        claims = {name: value for name, value in claims.items() if value is not None}
        return JSONResponse({"access_token": "at", "token_type": "Bearer", "id_token": self._signed(claims)})

    async def _end(self, request):
        assert request.query_params["client_id"] == CLIENT
        return RedirectResponse(request.query_params["post_logout_redirect_uri"], 303)

    def _known(self, header, form):
        if not self.secret:
            return form.get("client_id") == CLIENT and "client_secret" not in form and not header
        kind, _, pair = header.partition(" ")
        name, _, secret = base64.b64decode(pair).decode().partition(":")
        return kind == "Basic" and (unquote(name), unquote(secret)) == (CLIENT, self.secret)

    def _signed(self, claims):
        if self.forge is not None:
            return self.forge(claims)
        header = {"kid": self.algorithm, **self.header}
        key = KEYS[self.algorithm][0]
        return PyJWS().encode(json.dumps(claims).encode(), key, algorithm=self.algorithm, headers=header)


def unsigned(header: dict, claims: dict, key: bytes | None = None) -> str:
    """A token with any header; HMAC-SHA256 under a key, or with an empty signature."""
    signed = ".".join(base64url(json.dumps(part).encode()) for part in (header, claims))
    return f"{signed}.{base64url(hmac.digest(key, signed.encode(), 'sha256')) if key else ''}"
