"""Trees, tiles and proofs against the recursive definition of RFC 6962, for any size."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.proofs import merkle, tiles
from gateway.proofs import verify as standalone
from gateway.proofs.faults import ProofInvalid

sizes = st.integers(min_value=1, max_value=1200)


def leaves(size: int) -> list[bytes]:
    return [merkle.leaf_hash(number.to_bytes(4, "big")) for number in range(size)]


def defined(hashes: list[bytes]) -> bytes:
    """RFC 6962 section 2.1, word for word."""
    if not hashes:
        return merkle.EMPTY_ROOT
    if len(hashes) == 1:
        return hashes[0]
    cut = 1
    while cut * 2 < len(hashes):
        cut *= 2
    return merkle.node_hash(defined(hashes[:cut]), defined(hashes[cut:]))


def stored(size: int) -> dict[tuple[int, int], bytes]:
    """Every tile of a tree, by the definition."""
    rows, found, level = leaves(size), {}, 0
    while rows:
        for number in range(-(-len(rows) // 256)):
            found[level, number] = b"".join(rows[number * 256 : (number + 1) * 256])
        rows = [defined(rows[at : at + 256]) for at in range(0, len(rows) // 256 * 256, 256)]
        level += 1
    return found


@given(sizes, st.data())
@settings(deadline=None, max_examples=60)
def test_compact_range_grows_to_the_defined_root(size: int, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, size))
    every = leaves(size)
    grown = merkle.CompactRange().extended(every[:cut]).extended(every[cut:])
    assert grown.root == defined(every) == standalone.root_of(every)
    assert merkle.CompactRange.decode(size, grown.encode()) == grown


@given(st.integers(0, 1200), st.integers(0, 1200))
@settings(deadline=None, max_examples=60)
def test_ranges_are_joined_where_the_subtrees_fit_and_refused_elsewhere(first: int, second: int) -> None:
    every = leaves(first + second)
    one, two = merkle.CompactRange().extended(every[:first]), merkle.CompactRange().extended(every[first:])
    if second and first % (1 << second.bit_length() - 1):
        with pytest.raises(ProofInvalid):
            one.joined(two)
    else:
        assert one.joined(two) == merkle.CompactRange().extended(every)


@given(st.sampled_from([0, 256, 512, 1024]), st.integers(0, 300))
@settings(deadline=None, max_examples=20)
def test_whole_tiles_are_joined_to_the_tree_that_one_by_one_gives(first: int, second: int) -> None:
    every = leaves(first + second)
    joined = merkle.CompactRange().extended(every[:first]).joined(merkle.CompactRange().extended(every[first:]))
    assert joined.root == defined(every)


@given(sizes, st.data())
@settings(deadline=None, max_examples=80)
def test_inclusion_proof_from_tiles_verifies_here_and_stand_alone(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    every, spans = leaves(size), merkle.inclusion_spans(index, size)
    assert {(tile.level, tile.number) for tile in tiles.needed_tiles(spans, size)} <= stored(size).keys()
    proof = [tiles.span_hash(stored(size), span) for span in spans]
    root = defined(every)
    merkle.verify_inclusion(every[index], index, size, proof, root)
    standalone.check_path(every[index], index, size, path=proof, root=root, where="here")
    for wrong in (proof + [root], proof[:-1] if proof else [root]):
        with pytest.raises(ProofInvalid):
            merkle.verify_inclusion(every[index], index, size, wrong, root)
    if size > 1:
        with pytest.raises(ProofInvalid):
            merkle.verify_inclusion(every[index], (index + 1) % size, size, proof, root)
        with pytest.raises(standalone.Wrong):
            standalone.check_path(every[index], (index + 1) % size, size, path=proof, root=root, where="here")


@given(sizes, st.data())
@settings(deadline=None, max_examples=80)
def test_consistency_proof_verifies_and_any_changed_hash_does_not(size: int, data: st.DataObject) -> None:
    old = data.draw(st.integers(0, size))
    every = leaves(size)
    proof = [tiles.span_hash(stored(size), span) for span in merkle.consistency_spans(old, size)]
    before, after = defined(every[:old]), defined(every)
    merkle.verify_consistency(old, size, proof, before, after)
    for place, step in enumerate(proof):
        changed = [*proof[:place], merkle.leaf_hash(step), *proof[place + 1 :]]
        with pytest.raises(ProofInvalid):
            merkle.verify_consistency(old, size, changed, before, after)
    if old < size:
        with pytest.raises(ProofInvalid):
            merkle.verify_consistency(old, size, proof, merkle.leaf_hash(before), after)


@given(st.lists(st.binary(max_size=40), max_size=20))
def test_bundles_are_read_back(entries: list[bytes]) -> None:
    assert tiles.decode_bundle(tiles.encode_bundle(entries)) == entries
