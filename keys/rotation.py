"""Rotating a scope's key: epoch e gives way to e+1 while both are understood.

PREPARED -> DUAL -> CURRENT -> RETIRED -> DESTROYED, told by the states of two keys:

| step      | epoch e   | epoch e+1 | children are named in | understood |
|-----------|-----------|-----------|-----------------------|------------|
| `prepare` | primary   | prepared  | e                     | e          |
| `begin`   | primary   | enabled   | e (e+1 where asked)   | e, e+1     |
| `advance` | enabled   | primary   | e+1                   | e, e+1     |
| `retire`  | retired   | primary   | e+1                   | e+1        |
| `destroy` | destroyed | primary   | e+1                   | e+1        |

Rules kept here: one rotation of a scope at a time; no step is skipped; the factor between two epochs exists only while
both are understood and is gone with the older key; each step is durable before it counts.
"""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum

from gateway.domain.subjects import Scope
from gateway.errors import Denied
from keys.group import random_scalar
from keys.providers import RootKey
from keys.ring import KeyRing, add_key
from keys.ring_file import KeyState, Slot, StoredKey, Use


class Phase(StrEnum):
    """Where a scope's newest epoch stands. `current` with one understood epoch means that no rotation runs."""

    PREPARED = "prepared"
    DUAL = "dual"
    CURRENT = "current"
    RETIRED = "retired"
    DESTROYED = "destroyed"


class Step(StrEnum):
    """A step of a rotation, in their order. `destroy` is also how a prepared key is given up."""

    PREPARE = "prepare"
    BEGIN = "begin"
    ADVANCE = "advance"
    RETIRE = "retire"
    DESTROY = "destroy"


def due(ring: KeyRing, scope: Scope) -> dict[Step, int]:
    """The steps that may be taken now, each with the epoch that it concerns: the new one, or for `retire` and `destroy` the old."""
    primary = ring.current_epoch(scope)
    states = _states({row.slot: row for row in ring.rows()}, scope)
    steps: dict[Step, int] = {}
    for epoch, state in sorted(states.items()):
        match state:
            case KeyState.PREPARED:
                steps |= {Step.BEGIN: epoch, Step.DESTROY: epoch}
            case KeyState.ENABLED:
                steps[Step.ADVANCE if epoch > primary else Step.RETIRE] = epoch
            case KeyState.RETIRED:
                steps[Step.DESTROY] = epoch
    if not steps.keys() & {Step.BEGIN, Step.ADVANCE, Step.RETIRE}:
        steps[Step.PREPARE] = max(states) + 1
    return steps


def take(ring: KeyRing, scope: Scope, step: Step, epoch: int) -> None:
    """Take a step. Raises `Denied("rotation_order")` where it is not due for this epoch."""
    _require(due(ring, scope).get(step) == epoch)
    match step:
        case Step.PREPARE:
            prepare(ring, scope)
        case Step.BEGIN:
            begin(ring, scope)
        case Step.ADVANCE:
            advance(ring, scope)
        case Step.RETIRE:
            retire(ring, scope)
        case Step.DESTROY:
            destroy(ring, scope, epoch)


def phase(ring: KeyRing, scope: Scope, epoch: int) -> Phase:
    """Where one epoch of a scope stands. Raises `Denied("rotation_order")` if there is no such epoch."""
    states = _states({row.slot: row for row in ring.rows()}, scope)
    primary = max((number for number, state in states.items() if state is KeyState.PRIMARY), default=0)
    match states.get(epoch):
        case None:
            raise Denied("rotation_order")
        case KeyState.PREPARED:
            return Phase.PREPARED
        case KeyState.ENABLED:
            # Before its turn an enabled key is the second of two; after it, it is on its way out and still understood.
            return Phase.DUAL if epoch > primary else Phase.CURRENT
        case KeyState.PRIMARY:
            return Phase.CURRENT
        case KeyState.RETIRED:
            return Phase.RETIRED
        case KeyState.DESTROYED:
            return Phase.DESTROYED


def prepare(ring: KeyRing, scope: Scope) -> int:
    """Make the key of the next epoch; nothing uses it yet. Returns the epoch."""
    ring.current_epoch(scope)

    def step(rows: dict[Slot, StoredKey], root: RootKey) -> int:
        states = _states(rows, scope)
        alive = [epoch for epoch, state in states.items() if state in (KeyState.PREPARED, KeyState.ENABLED)]
        _require(not alive)
        epoch = max(states) + 1
        add_key(rows, root, Slot(scope.name, epoch, Use.PSEUDONYM), KeyState.PREPARED, random_scalar())
        return epoch

    return ring.change(step)


def begin(ring: KeyRing, scope: Scope) -> int:
    """From now on pseudonyms of both epochs are understood; holders may convert. Returns the new epoch."""
    return _move(ring, scope, KeyState.PREPARED, KeyState.ENABLED)


def advance(ring: KeyRing, scope: Scope) -> int:
    """The new epoch names children; the old one is still understood. Returns the new epoch."""

    def step(rows: dict[Slot, StoredKey], _root: RootKey) -> int:
        states = _states(rows, scope)
        old = _only(states, KeyState.PRIMARY)
        new = _only({epoch: state for epoch, state in states.items() if epoch > old}, KeyState.ENABLED)
        _set(rows, scope, old, KeyState.ENABLED)
        _set(rows, scope, new, KeyState.PRIMARY)
        return new

    return ring.change(step)


def retire(ring: KeyRing, scope: Scope) -> int:
    """End of the overlap: the old epoch is no longer understood. Returns the old epoch."""

    def step(rows: dict[Slot, StoredKey], _root: RootKey) -> int:
        states = _states(rows, scope)
        primary = _only(states, KeyState.PRIMARY)
        old = _only({epoch: state for epoch, state in states.items() if epoch < primary}, KeyState.ENABLED)
        _set(rows, scope, old, KeyState.RETIRED)
        return old

    return ring.change(step)


def destroy(ring: KeyRing, scope: Scope, epoch: int) -> None:
    """Destroy a retired (or never begun) key: its bytes leave the file for good.

    Copies of the file from before, together with the root, would still hold it: they must not outlive this step.
    """

    def step(rows: dict[Slot, StoredKey], _root: RootKey) -> int:
        _require(_states(rows, scope).get(epoch) in (KeyState.RETIRED, KeyState.PREPARED))
        slot = Slot(scope.name, epoch, Use.PSEUDONYM)
        rows[slot] = StoredKey(slot=slot, state=KeyState.DESTROYED, wrapped=b"")
        return epoch

    ring.change(step)


def _move(ring: KeyRing, scope: Scope, before: KeyState, after: KeyState) -> int:
    def step(rows: dict[Slot, StoredKey], _root: RootKey) -> int:
        epoch = _only(_states(rows, scope), before)
        _set(rows, scope, epoch, after)
        return epoch

    return ring.change(step)


def _states(rows: dict[Slot, StoredKey], scope: Scope) -> dict[int, KeyState]:
    return {
        slot.epoch: row.state for slot, row in rows.items() if slot.scope == scope.name and slot.use is Use.PSEUDONYM
    }


def _only(states: dict[int, KeyState], state: KeyState) -> int:
    found = [epoch for epoch, value in states.items() if value is state]
    _require(len(found) == 1)
    return found[0]


def _set(rows: dict[Slot, StoredKey], scope: Scope, epoch: int, state: KeyState) -> None:
    slot = Slot(scope.name, epoch, Use.PSEUDONYM)
    rows[slot] = replace(rows[slot], state=state)


def _require(condition: bool) -> None:
    if not condition:
        raise Denied("rotation_order")
