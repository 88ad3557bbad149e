"""The audit pack: the same bytes each time, verified with nothing installed, and no byte of it changes unnoticed."""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import shutil
import subprocess
import sys
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.audit.erasure import erase
from gateway.audit.export import Export
from gateway.audit.histories import child_holder
from gateway.audit.pack import READ_FIRST, write_pack, write_year
from gateway.audit.witness import Witness, keep_cosignatures, request_for
from gateway.domain.vocabulary import EntryKind
from gateway.errors import BadRequest
from gateway.proofs import verify as standalone
from gateway.proofs.notes import COSIGNATURE, Signer
from gateway.proofs.tlogproof import verify_proof
from tests.unit.audit.audit_world import CHILD, OTHER, SIGNER, HandClock, a_log, draft

VKEY = SIGNER.verifier.vkey
WITNESSES = [
    Signer.from_seed(f"witness.example/{name}", name.encode() * 16, COSIGNATURE) for name in ("mz", "jy", "wj")
]
POLICY = "".join(
    [
        f"log {VKEY}\n",
        *(f"witness {one.name[-2:]} {one.verifier.vkey}\n" for one in WITNESSES),
        "group all 3 mz jy wj\nquorum all\n",
    ]
)
CHROMIUM = shutil.which("chromium")


def said(source, vkey=VKEY) -> list[str]:
    lines: list[str] = []
    standalone.verify(source, vkey, report=lines.append)
    return lines


def passes(source) -> bool:
    return standalone.verify(source, VKEY, report=lambda _line: None)


def asking(**detail):
    return draft(kind=EntryKind.AUDIT_EXPORT, actors=("person:330000-ca/auditor",), detail={"reason": "audit"} | detail)


async def witnessed(log, directory: Path, signers=WITNESSES) -> None:
    note = await log.checkpoint()
    async with log.database.read() as reading:
        body = await request_for(reading, note, 0)
    logs = {log.origin: log.signer.verifier}
    answers = [Witness(directory / one.name[-2:], one, logs, log._clock).add_checkpoint(body).body for one in signers]
    await keep_cosignatures(log.database, note, answers, [one.verifier for one in WITNESSES], 2, 1)


async def _small_pack(directory: Path) -> Path:
    async with a_log(directory, clock=HandClock()) as log:
        for number in range(9):
            await log.append(draft(CHILD if number % 2 else OTHER, actors=()))
        await erase(log, child_holder(OTHER), draft(kind=EntryKind.ERASURE, actors=("person:330000-ca/1",)), now=1)
        await witnessed(log, directory)
        wanted = Export(children=[CHILD], details=True, picked=[3], policy=POLICY)
        await write_pack(log, directory / "small.auditpack", wanted, asking())
    return directory / "small.auditpack"


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Path:
    return asyncio.run(_small_pack(tmp_path_factory.mktemp("pack")))


def test_pack_passes_every_check_and_any_zip_program_opens_it(small) -> None:
    lines = said(small)
    assert [line.split(" ")[0] for line in lines] == ["通过"] * 8
    with zipfile.ZipFile(small) as opened:
        assert opened.testzip() is None
        names = opened.namelist()
        assert names == sorted(names)
        files = {READ_FIRST, "manifest.json", "request.json", "policy.txt", "checkpoint", "witnessed", "destroyed.json"}
        assert files | {"clause-map.csv", "verify.py", "verify.html", "proofs/3.tlog-proof"} <= set(names)
        assert {info.date_time for info in opened.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_same_files_give_the_same_bytes(small) -> None:
    files = standalone.unpack(small.read_bytes())
    assert standalone.pack(dict(reversed(files.items()))) == small.read_bytes()


def test_unpacked_pack_verifies_with_the_standard_library_alone(small, tmp_path) -> None:
    shutil.copy(small, tmp_path / "x.auditpack")
    (tmp_path / "verify.py").write_bytes(standalone.unpack(small.read_bytes())["verify.py"])
    command = [sys.executable, "-I", "verify.py", "x.auditpack", VKEY]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout


def test_pack_lists_what_was_destroyed_and_names_no_child(small) -> None:
    files = standalone.unpack(small.read_bytes())
    (one,) = json.loads(files["destroyed.json"])
    assert one["certificate"]["entries"] == "5"
    outside = {name: data for name, data in files.items() if not name.startswith("details/")}
    assert not any(CHILD.hex().encode() in data or OTHER.hex().encode() in data for data in outside.values())


def test_picked_entry_brings_its_own_proof(small) -> None:
    files = standalone.unpack(small.read_bytes())
    proof = files["proofs/3.tlog-proof"].decode()
    verify_proof(proof, entries_of(files)[3], SIGNER.verifier, [one.verifier for one in WITNESSES], 2)


def entries_of(files) -> list[bytes]:
    """The entries of the one bundle of a small pack."""
    (name,) = (name for name in files if name.startswith("tile/entries"))
    return standalone.read_bundle(files[name], int(name.rpartition("/")[2]), name)


def _flips(data: bytes, most: int) -> list[int]:
    if len(data) <= most:
        return list(range(len(data)))
    return sorted({0, len(data) - 1, *random.Random(len(data)).sample(range(len(data)), most - 2)})


def _flip_each_file(small: Path, most: int) -> None:
    files = standalone.unpack(small.read_bytes())
    for name, data in files.items():
        for place in _flips(data, most):
            changed = data[:place] + bytes([data[place] ^ (1 << place % 8)]) + data[place + 1 :]
            lines = said(files | {name: changed})
            assert lines[-1].startswith("不通过"), (name, place)
            if name != "manifest.json":
                where = f"entry {_entry_at(data, place)}:" if name.startswith("tile/entries/") else name
                # Below the first tile of level 1 nothing says which of the two is wrong, only for which entry.
                where = f"entry {place // 32}:" if name.startswith("tile/0/") else where
                assert where in lines[-1] or name in lines[-1], (name, place, lines[-1])


def _entry_at(bundle: bytes, place: int) -> int:
    at, index = 0, 0
    while at + 2 + int.from_bytes(bundle[at : at + 2], "big") <= place:
        at, index = at + 2 + int.from_bytes(bundle[at : at + 2], "big"), index + 1
    return index


@pytest.mark.usefixtures("signatures_once")
def test_flipped_bytes_of_any_file_are_found_and_named(small) -> None:
    _flip_each_file(small, 24)


@pytest.mark.soak
@pytest.mark.timeout(3000)
@pytest.mark.usefixtures("signatures_once")
def test_every_single_byte_of_every_file_is_found_and_named(small) -> None:
    _flip_each_file(small, 10**9)


@pytest.mark.usefixtures("signatures_once")
def test_flipped_bytes_of_the_pack_itself_are_found_and_the_file_named(small) -> None:
    data = small.read_bytes()
    members = list(standalone._members(data))
    for place in [*range(40), *_flips(data, 150), *range(len(data) - 80, len(data))]:
        lines = said(data[:place] + bytes([data[place] ^ 4]) + data[place + 1 :])
        assert lines[-1].startswith("不通过"), place
        inside = [name for name, start, end in members if start <= place < end]
        assert not inside or inside[0] in lines[-1], (place, lines[-1])
    assert not passes(data[:-1])
    assert not passes(data + b"\0")


@pytest.mark.usefixtures("signatures_once")
@pytest.mark.parametrize("kind", ["checkpoint", "witnessed", "tile/0/", "tile/entries/", "histories/", "details/"])
def test_changed_material_fails_even_under_a_manifest_made_to_fit(small, kind) -> None:
    """The manifest only helps to say which file; what counts is bound to the signed root."""
    files = standalone.unpack(small.read_bytes())
    for name in (name for name in files if name.startswith(kind)):
        for place in _flips(files[name], 12):
            changed = files | {name: files[name][:place] + bytes([files[name][place] ^ 1]) + files[name][place + 1 :]}
            listed = {one: hashlib.sha256(data).hexdigest() for one, data in changed.items() if one != "manifest.json"}
            changed["manifest.json"] = json.dumps(listed, indent=1, sort_keys=True).encode()
            after = _proved(changed[name]) if kind == "histories/" else None
            if after is not None and after.items() <= _proved(files[name]).items():
                continue  # a blank, the generation's number, which is a label, or the index left out
            assert not passes(changed), (name, place, files[name][place - 20 : place + 20])


def _proved(data: bytes):
    try:
        shown = {name: value for name, value in json.loads(data).items() if name not in ("generation", "of")}
    except ValueError:
        return None
    # A closed history is whole by its last entry; its line in an index is more than it needs.
    return {name: shown.get(name) for name in ("key", "count", "closed")} if "epoch" not in shown else shown


def test_pack_of_another_log_or_without_the_quorum_fails(small) -> None:
    files = standalone.unpack(small.read_bytes())
    stranger = Signer.from_seed(SIGNER.name, b"\x77" * 32).verifier.vkey
    assert "signature is missing" in said(files, stranger)[-1]
    lines = files["witnessed"].decode().split("\n")
    alone = files | {"witnessed": ("\n".join(lines[:-3]) + "\n").encode()}
    assert "1 cosignatures are not the quorum" in said(alone)[-1]


@pytest.mark.anyio
async def test_range_pack_shows_its_entries_and_no_others(tmp_path) -> None:
    async with a_log(tmp_path) as log:
        await asyncio.gather(*(log.append(draft()) for _ in range(900)))
        await write_pack(log, tmp_path / "range.auditpack", Export(first=300, last=500), asking())
    files = standalone.unpack((tmp_path / "range.auditpack").read_bytes())
    assert sorted(name for name in files if "tile/entries" in name) == ["tile/entries/001"]
    assert "300 to 500 whole" in said(files)[4]
    assert said(files)[3].startswith("无法判断")
    wider = json.loads(files["request.json"]) | {"range": [300, 513]}
    assert "tile/entries/002: missing" in said(files | {"request.json": json.dumps(wider).encode()})[-1]


@pytest.mark.anyio
async def test_histories_of_two_children_and_an_actor_in_one_pack_are_each_proved_whole(tmp_path) -> None:
    async with a_log(tmp_path) as log:
        for number in range(6):
            await log.append(draft(CHILD if number % 2 else OTHER))
        wanted = Export(children=[CHILD, OTHER], actors=["client:edu-1"])
        await write_pack(log, tmp_path / "three.auditpack", wanted, asking())
    assert "3 generations, 15 entries, none missing" in said(tmp_path / "three.auditpack")[5]


@pytest.mark.anyio
async def test_year_in_one_call_counts_what_its_entries_say(tmp_path) -> None:
    clock = HandClock()
    async with a_log(tmp_path, clock=clock) as log:
        await log.append(draft())
        clock.at = datetime(2027, 3, 1, tzinfo=UTC)
        for number in range(5):
            await log.append(draft(exchange="X02" if number else "X05"))
        clock.at = datetime(2028, 1, 2, tzinfo=UTC)
        await write_year(log, tmp_path / "2027.auditpack", 2027, asking())
        with pytest.raises(BadRequest, match="entry_unknown"):
            await write_year(log, tmp_path / "2025.auditpack", 2025, asking())
    files = standalone.unpack((tmp_path / "2027.auditpack").read_bytes())
    assert passes(files)
    year = json.loads(files["yearly.json"])
    assert year["exchange"] == {"X05": 1, "X02": 4}
    first, last = year["range"]
    again = [json.loads(leaf).get("exchange") for leaf in entries_of(files)[first:last]]
    assert again.count("X02") == 4


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("NOT RUN: no Chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        running = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield running
        running.close()


def shown(browser, directory: Path, data: bytes, script: str = "") -> tuple[list[str], str]:
    """What verify.html, opened as a file, says about a pack: verdict and finding of each row, and the verdict on top."""
    (directory / "verify.html").write_bytes(Path(standalone.__file__).with_name("verify.html").read_bytes())
    (directory / "x.auditpack").write_bytes(data)
    page = browser.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    if script:
        page.add_init_script(script)
    page.goto((directory / "verify.html").as_uri())
    page.fill("#vkey", VKEY)
    page.set_input_files("#pack", directory / "x.auditpack")
    page.wait_for_function("document.getElementById('verdict').textContent", timeout=60_000)
    rows = [row.inner_text() for row in page.query_selector_all("#checks tr")]
    verdict = page.inner_text("#verdict")
    page.close()
    assert all(one.startswith("file:") for one in asked)
    return rows, verdict


@pytest.mark.browser
def test_html_verifier_opened_from_a_file_passes_the_pack_in_both_engines(small, browser, tmp_path) -> None:
    rows, verdict = shown(browser, tmp_path, small.read_bytes())
    assert verdict == "通过 passed"
    assert ["通过" in row for row in rows] == [True] * 8
    rows, verdict = shown(browser, tmp_path, small.read_bytes(), "delete Crypto.prototype.subtle;")
    assert verdict == "通过 passed"
    assert "(BigInt)" in rows[1]


@pytest.mark.browser
@pytest.mark.parametrize(
    "kind", ["checkpoint", "witnessed", "tile/0/", "tile/entries/", "histories/", "details/", "policy"]
)
def test_html_verifier_names_the_same_place_as_the_python_one(small, browser, tmp_path, kind) -> None:
    files = standalone.unpack(small.read_bytes())
    name = next(name for name in files if name.startswith(kind))
    place = len(files[name]) // 2
    changed = files | {name: files[name][:place] + bytes([files[name][place] ^ 1]) + files[name][place + 1 :]}
    rows, verdict = shown(browser, tmp_path, standalone.pack(changed), "delete Crypto.prototype.subtle;")
    ours = said(changed)[-1].removeprefix("不通过 FAILED   ")
    assert verdict.startswith("不通过")
    assert rows[-1].split("\t")[2] in ours or "malformed" in ours


@pytest.mark.browser
def test_html_verifier_finds_a_changed_byte_of_the_pack_itself(small, browser, tmp_path) -> None:
    data = small.read_bytes()
    members = list(standalone._members(data))
    for place in (10, len(data) // 3, len(data) - 3):
        rows, verdict = shown(browser, tmp_path, data[:place] + bytes([data[place] ^ 4]) + data[place + 1 :])
        assert verdict.startswith("不通过")
        name = next((name for name, _, end in members if place < end), "the list of files")
        assert f"({name})" in rows[-1]
