"""What the audit room's tests share."""

import functools

import pytest

from gateway.proofs import verify as standalone


@pytest.fixture(scope="session")
def remembered_signatures():
    """The stand-alone verifier's Ed25519 with a memory: what held is not computed again, what does not hold raises each time."""
    return functools.cache(standalone.verify_ed25519)


@pytest.fixture
def signatures_once(monkeypatch, remembered_signatures) -> None:
    """Pure Python takes milliseconds for a signature, and a thousand changed files carry the same notes."""
    monkeypatch.setattr(standalone, "verify_ed25519", remembered_signatures)
