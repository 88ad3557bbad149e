"""What a process does before it touches a key: nothing of its memory goes to disk when it dies.

Rules kept here: no core dump, and no other process of the same user reads this one's memory; where the system refuses, the
start refuses too.
"""

from __future__ import annotations

import ctypes
import resource
import sys

from gateway.errors import GatewayFault

_PR_SET_DUMPABLE = 4


def keep_memory_private() -> None:
    """Forbid core dumps and foreign reads of this process's memory. Raises `GatewayFault("memory_not_private")`.

    On Linux `prctl(PR_SET_DUMPABLE, 0)`, which also closes `/proc/<pid>/mem` to the same user; elsewhere the core limit only.
    Swap is the machine's business: key hosts run without it or with an encrypted one.
    """
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except (OSError, ValueError):
        raise GatewayFault("memory_not_private") from None
    if sys.platform == "linux" and ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        raise GatewayFault("memory_not_private")
