"""Another root in the place of the one that is there, the premises to oneself, and the ceremony's rehearsed recovery."""

import itertools
import json
import multiprocessing
import shutil
from base64 import b64encode

import pytest
from typer.testing import CliRunner

from gateway.cli import app
from gateway.domain.subjects import GATEWAY_SCOPE, Scope
from gateway.domain.vocabulary import Department
from gateway.errors import BadRequest, GatewayFault
from keys import root_change
from keys.buckets import BucketFile
from keys.ceremony import recover
from keys.identifiers import identify
from keys.providers import LocalRootKey, create_root_file, open_root_file
from keys.ring import KeyRing
from keys.root_change import change_root_file, prove, rewrap
from keys.solitude import present

CHILD = identify("cn-rid", "11010519491231002X")
EDUCATION = Scope.open(Department.EDUCATION)


def fill(folder, root):
    """A key folder as a gateway makes it; what may be known of it afterwards."""
    ring, buckets = KeyRing.open(folder, root), BucketFile.open(folder / "buckets.json", root)
    wrapped = {"log": b64encode(root.wrap(b"pem", binding=b"signing|log")).decode()}
    (folder / "signing.json").write_text(json.dumps(wrapped))
    (folder / "signing.json").chmod(0o600)
    return ring.derive(GATEWAY_SCOPE, CHILD), ring.derive(EDUCATION, CHILD), buckets.wrap(b"k" * 32)


def opened(folder, root):
    ring, buckets = KeyRing.open(folder, root), BucketFile.open(folder / "buckets.json", root)
    return ring.derive(GATEWAY_SCOPE, CHILD), ring.derive(EDUCATION, CHILD), buckets


def test_under_the_new_root_everything_opens_and_under_the_old_nothing(tmp_path):
    old, new = LocalRootKey.generate(), LocalRootKey.generate()
    own, named, (bucket, wrapped) = fill(tmp_path, old)
    keys = prove(tmp_path, old)
    rewrap(tmp_path, old, new)
    assert prove(tmp_path, new) == keys
    again = opened(tmp_path, new)
    assert again[:2] == (own, named)
    assert again[2].unwrap(bucket, wrapped) == b"k" * 32
    with pytest.raises(GatewayFault, match="ring_refused"):
        prove(tmp_path, old)


@pytest.mark.parametrize("after", [0, 1, 2])
def test_a_change_that_was_cut_short_is_finished_by_doing_it_again(tmp_path, monkeypatch, after):
    folder = tmp_path / "keys"
    folder.mkdir(mode=0o700)
    create_root_file(folder / "root.json", "old words")
    own, named, _ = fill(folder, open_root_file(folder / "root.json", "old words"))
    done = itertools.count()

    def dying(work):
        def step(*arguments):
            if next(done) == after:
                raise KeyboardInterrupt
            return work(*arguments)

        return step

    with monkeypatch.context() as patched:
        patched.setattr(KeyRing, "replace_root", dying(KeyRing.replace_root))
        patched.setattr(BucketFile, "replace_root", dying(BucketFile.replace_root))
        patched.setattr(root_change, "_rewrap_signing", dying(root_change._rewrap_signing))
        with pytest.raises(KeyboardInterrupt):
            change_root_file(folder, "old words", "new words")
    change_root_file(folder, "old words", "new words")
    root = open_root_file(folder / "root.json", "new words")
    assert opened(folder, root)[:2] == (own, named)
    assert not (folder / "root.next.json").exists()
    with pytest.raises(GatewayFault, match="root_key_refused"):
        open_root_file(folder / "root.json", "old words")


def test_the_old_passphrase_is_not_taken_again(tmp_path):
    create_root_file(tmp_path / "root.json", "words")
    for same in ("words", ""):
        with pytest.raises(GatewayFault, match="passphrase_same"):
            change_root_file(tmp_path, "words", same)


def _hold(folder, ready, done):
    with present(folder):
        ready.set()
        done.wait(20)


def test_the_root_is_not_changed_beside_a_running_gateway(tmp_path):
    create_root_file(tmp_path / "root.json", "words")
    context = multiprocessing.get_context("spawn")
    ready, done = context.Event(), context.Event()
    gateway = context.Process(target=_hold, args=(tmp_path, ready, done))
    gateway.start()
    try:
        assert ready.wait(20)
        with present(tmp_path):
            pass
        with pytest.raises(GatewayFault, match="premises_in_use"):
            change_root_file(tmp_path, "words", "other words")
    finally:
        done.set()
        gateway.join(20)
    change_root_file(tmp_path, "words", "other words")


def test_who_is_alone_lets_nobody_in(tmp_path):
    with present(tmp_path, alone=True):
        for alone in (True, False):
            with pytest.raises(GatewayFault, match="premises_in_use"), present(tmp_path, alone=alone):
                pass
    with pytest.raises(GatewayFault, match="premises_missing"), present(tmp_path / "nowhere"):
        pass


def test_any_three_of_five_shares_open_every_key_and_two_tell_nothing(tmp_path):
    root = LocalRootKey.generate()
    fill(tmp_path, root)
    ceremony = root.split()
    assert set(ceremony.shares) == set(Department)
    for three in itertools.combinations(ceremony.shares.values(), 3):
        assert prove(tmp_path, LocalRootKey(recover(three, ceremony.fingerprint))) == prove(tmp_path, root)
    for two in itertools.combinations(ceremony.shares.values(), 2):
        with pytest.raises(BadRequest, match="shares_invalid"):
            recover(two, ceremony.fingerprint)


# --- by the command line -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def premises(tmp_path_factory):
    """A gateway's folder, made by `runxin init`, and how to run commands on it."""
    folder = tmp_path_factory.mktemp("site") / "data"
    words = {"RUNXIN_ROOT_PASSPHRASE": "first words"}

    def runxin(*arguments, **environment):
        return CliRunner().invoke(app, [*arguments, "--data", str(folder)], env={**words, **environment})

    made = runxin("init")
    assert made.exit_code == 0, made.output
    return folder, words, runxin


def test_a_whole_life_of_a_key_by_the_command_line(premises, tmp_path):
    folder, words, runxin = premises
    wrong = runxin("keys", "rotate", "open:nobody")
    assert isinstance(wrong.exception, BadRequest)
    copy = tmp_path / "copy"
    for step in ("--prepare", "--begin", "--advance", "--retire"):
        done = runxin("keys", "rotate", "open:education", step)
        assert done.exit_code == 0, done.output
        assert f"{step[2:]}: open:education" in done.output
        assert "(entry " in done.output
    shutil.copytree(folder, copy)

    ceremony = runxin("keys", "ceremony", str(tmp_path / "shares"))
    assert ceremony.exit_code == 0, ceremony.output
    assert "rehearsed: 10 of 10 threes" in ceremony.output
    shares = sorted((tmp_path / "shares").glob("*.share"))
    assert [path.stem for path in shares] == sorted(Department)
    assert all(path.read_text().split()[0] not in ceremony.output.split() for path in shares)
    assert {path.stat().st_mode & 0o777 for path in shares} == {0o600}
    fingerprint = ceremony.output.split("fingerprint ")[1].split()[0]

    (folder / "keys" / "root.json").rename(tmp_path / "lost.json")
    few = runxin("keys", "recover", *map(str, shares[:2]), "--fingerprint", fingerprint)
    assert isinstance(few.exception, BadRequest)
    back = runxin("keys", "recover", *map(str, shares[1:4]), "--fingerprint", fingerprint)
    assert back.exit_code == 0, back.output
    assert "opens all" in back.output

    with present(folder / "keys"):
        busy = runxin("keys", "rotate", "open:education", "--destroy", RUNXIN_NEW_ROOT_PASSPHRASE="second words")
        assert isinstance(busy.exception, GatewayFault)
        assert busy.exception.code == "premises_in_use"
    gone = runxin("keys", "rotate", "open:education", "--destroy", RUNXIN_NEW_ROOT_PASSPHRASE="second words")
    assert gone.exit_code == 0, gone.output
    assert "root: changed" in gone.output
    words["RUNXIN_ROOT_PASSPHRASE"] = "second words"
    assert runxin("keys", "rotate", "open:education").exit_code == 0

    # The copy from before: its root opens with the first words only, and the root that is there opens nothing of it.
    root = open_root_file(folder / "keys" / "root.json", "second words")
    with pytest.raises(GatewayFault, match="root_key_refused"):
        open_root_file(copy / "keys" / "root.json", "second words")
    with pytest.raises(GatewayFault, match="ring_refused"):
        prove(copy / "keys", root)
    assert prove(folder / "keys", root)
    old_shares = [path.read_text() for path in shares[:3]]
    stale = LocalRootKey(recover(old_shares, fingerprint))
    with pytest.raises(GatewayFault, match="ring_refused"):
        prove(folder / "keys", stale)


def test_the_gateways_own_scope_is_renamed_with_the_gateway_stopped_only(premises):
    folder, _, runxin = premises
    with present(folder / "keys"):
        for step in ("--prepare", "--begin"):
            done = runxin("keys", "rotate", "gateway", step)
            assert done.exit_code == 0, done.output
        busy = runxin("keys", "rotate", "gateway", "--advance")
        assert busy.exception.code == "premises_in_use"
    done = runxin("keys", "rotate", "gateway", "--advance")
    assert done.exit_code == 0, done.output
    assert "advance: gateway epoch 2" in done.output
    told = json.loads(done.output[done.output.index("{") :])
    assert (told["current"], told["accepted"]) == (2, [1, 2])
    assert [(row["party"], row["finished"]) for row in told["followed"]] == [("gateway", True)]


def test_steps_out_of_order_are_refused_with_a_sentence(premises):
    _, _, runxin = premises
    early = runxin("keys", "rotate", "open:health", "--retire")
    assert early.exception.code == "rotation_order"
    two = runxin("keys", "rotate", "open:health", "--prepare", "--begin")
    assert two.exit_code == 2
