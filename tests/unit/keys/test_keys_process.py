"""A process that holds keys leaves no core behind; a few bytes can be sealed outside of records."""

import os
import subprocess
import sys

import pytest

from gateway.domain.parties import Party
from gateway.domain.vocabulary import Department
from gateway.errors import BadRequest
from keys.envelope import SUITES, SealingPair, sealing_key
from keys.sealed_bytes import open_bytes, seal_bytes

HOSPITAL = Party("12330106MB0000002B", Department.HEALTH)


@pytest.mark.skipif(sys.platform != "linux", reason="prctl is Linux")
def test_a_process_that_holds_keys_dumps_no_core():
    script = (
        "import resource, ctypes; from keys.process import keep_memory_private\n"
        "resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))\n"
        "before = ctypes.CDLL(None).prctl(3, 0, 0, 0, 0)\n"
        "keep_memory_private()\n"
        "print(before, ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), *resource.getrlimit(resource.RLIMIT_CORE))"
    )
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=os.getcwd())
    assert told.stdout.split() == ["1", "0", "0", "0"]


@pytest.mark.parametrize("suite", sorted(SUITES))
def test_sealed_bytes_open_for_their_key_and_use_only(suite):
    pair, other = SealingPair.generate(suite), SealingPair.generate(suite)
    sealed = seal_bytes(pair.sealing_key(HOSPITAL), b"half of a key", b"protective-half-1")
    assert open_bytes(pair, sealed, b"protective-half-1") == b"half of a key"
    for key, data, use in (
        (other, sealed, b"protective-half-1"),
        (pair, sealed, b"export-1"),
        (pair, sealed[:-1], b"protective-half-1"),
        (pair, b"", b"protective-half-1"),
    ):
        with pytest.raises(BadRequest, match="seal_invalid"):
            open_bytes(key, data, use)


def test_bytes_are_not_sealed_to_a_key_of_small_order():
    with pytest.raises(BadRequest, match="sealing_key_invalid"):
        seal_bytes(sealing_key(HOSPITAL, "x25519", bytes(32)), b"half", b"protective-half-1")
