"""Root key providers, bucket keys, the ceremony and the self-test."""

import base64
import json
import pickle

import pytest

from gateway.domain.subjects import Scope
from gateway.domain.vocabulary import Department
from gateway.errors import BadRequest, GatewayFault
from keys import ceremony, selftest
from keys.buckets import CAPACITY, BucketFile, aead_open, aead_seal, random_key
from keys.identifiers import identify
from keys.providers import LocalRootKey, create_root_file, open_root_environment, open_root_file
from keys.ring import KeyRing


@pytest.fixture(scope="module")
def root_file(tmp_path_factory):
    """One sealed root file under the passphrase `passphrase`: Argon2id is slow on purpose."""
    path = tmp_path_factory.mktemp("root") / "root.json"
    create_root_file(path, "passphrase")
    return path.read_text()


def written(path, content):
    path.write_text(content)
    path.chmod(0o600)
    return path


def test_the_sealed_root_file_opens_with_its_passphrase_only(tmp_path):
    path = tmp_path / "root.json"
    wrapped = create_root_file(path, "三个人都在场").wrap(b"k" * 32, binding=b"slot")
    assert path.stat().st_mode & 0o777 == 0o600
    assert open_root_file(path, "三个人都在场").unwrap(wrapped, binding=b"slot") == b"k" * 32
    for wrong in ("", "三个人都在", "三个人都在场 "):
        with pytest.raises(GatewayFault, match="root_key_refused"):
            open_root_file(path, wrong)


def test_a_root_file_of_a_wider_mode_or_behind_a_link_is_refused(tmp_path, root_file):
    path = written(tmp_path / "root.json", root_file)
    for mode in (0o644, 0o640, 0o604, 0o660):
        path.chmod(mode)
        with pytest.raises(GatewayFault, match="key_file_mode"):
            open_root_file(path, "passphrase")
    path.chmod(0o600)
    (tmp_path / "link").symlink_to(path)
    for missing in (tmp_path / "link", tmp_path / "none"):
        with pytest.raises(GatewayFault, match="key_file_missing"):
            open_root_file(missing, "passphrase")


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("memory_kib", 8, "root_key_invalid"),
        ("memory_kib", 2**40, "root_key_invalid"),
        ("memory_kib", 64 * 1024 + 4, "root_key_refused"),
        ("passes", 0, "root_key_invalid"),
        ("passes", 4, "root_key_refused"),
        ("kdf", "none", "root_key_invalid"),
        ("format", "runxin-root-2", "root_key_invalid"),
        ("salt", "AAAAAAAAAAAAAAAAAAAAAA==", "root_key_refused"),
        ("sealed", "AAAA", "root_key_refused"),
        ("sealed", "not base64", "root_key_invalid"),
    ],
)
def test_a_changed_root_file_is_refused(tmp_path, root_file, name, value, code):
    path = written(tmp_path / "root.json", json.dumps({**json.loads(root_file), name: value}))
    with pytest.raises(GatewayFault, match=code):
        open_root_file(path, "passphrase")


def test_a_root_file_is_never_overwritten(tmp_path, root_file):
    written(tmp_path / "root.json", root_file)
    with pytest.raises(FileExistsError):
        create_root_file(tmp_path / "root.json", "passphrase")


def test_the_environment_gives_the_root_once_and_then_no_longer_holds_it():
    secret = random_key()
    environment = {"RUNXIN_ROOT_KEY": base64.b64encode(secret).decode()}
    root = open_root_environment(environment=environment)
    assert environment == {}
    assert LocalRootKey(secret).unwrap(root.wrap(b"key", binding=b"x"), binding=b"x") == b"key"
    for bad in ({}, {"RUNXIN_ROOT_KEY": "short"}, {"RUNXIN_ROOT_KEY": "???"}, {"RUNXIN_ROOT_KEY": "QUJD"}):
        with pytest.raises(GatewayFault, match="root_key_invalid"):
            open_root_environment(environment=dict(bad))


def test_a_root_shows_itself_nowhere():
    secret = random_key()
    root = LocalRootKey(secret, provider="env")
    assert repr(root) == "LocalRootKey(env)"
    with pytest.raises(TypeError):
        pickle.dumps(root)
    with pytest.raises(GatewayFault) as refusal:
        root.unwrap(b"x" * 60, binding=b"y")
    assert secret.hex() not in repr(refusal.value)


def test_aead_opens_what_it_sealed_and_nothing_else():
    key, other = random_key(), random_key()
    sealed = aead_seal(key, b"detail", b"entry 1")
    assert aead_open(key, sealed, b"entry 1") == b"detail"
    assert aead_seal(key, b"detail", b"entry 1") != sealed
    attempts = [
        (other, sealed, b"entry 1"),
        (key, sealed, b"entry 2"),
        (key, sealed[:-1], b"entry 1"),
        (key, b"", b"entry 1"),
    ]
    attempts += [
        (key, sealed[:place] + bytes([sealed[place] ^ 1]) + sealed[place + 1 :], b"entry 1")
        for place in range(len(sealed))
    ]
    for attempt in attempts:
        with pytest.raises(GatewayFault, match="unseal_failed"):
            aead_open(*attempt)


@pytest.fixture
def root():
    return LocalRootKey.generate()


@pytest.fixture
def buckets(tmp_path, root):
    return BucketFile.open(tmp_path / "buckets.json", root)


def test_wrapped_keys_open_again_also_after_a_restart(tmp_path, root, buckets):
    key = random_key()
    bucket, wrapped = buckets.wrap(key)
    assert buckets.unwrap(bucket, wrapped) == key
    assert BucketFile.open(tmp_path / "buckets.json", root).unwrap(bucket, wrapped) == key
    with pytest.raises(GatewayFault, match="buckets_refused"):
        BucketFile.open(tmp_path / "buckets.json", LocalRootKey.generate())


def test_a_full_bucket_is_followed_by_another(buckets):
    used = [buckets.wrap(b"k" * 32)[0] for _ in range(CAPACITY + 1)]
    assert used == [1] * CAPACITY + [2]


def test_processes_fill_buckets_of_their_own(tmp_path, root, buckets):
    other = BucketFile.open(tmp_path / "buckets.json", root)
    mine, theirs = buckets.wrap(b"a" * 32), other.wrap(b"b" * 32)
    assert mine[0] != theirs[0]
    assert (buckets.unwrap(*theirs), other.unwrap(*mine)) == (b"b" * 32, b"a" * 32)


def test_destroying_one_key_leaves_its_survivors_and_no_copy_brings_it_back(tmp_path, root, buckets):
    keys = [random_key() for _ in range(5)]
    rows = [buckets.wrap(key) for key in keys]
    bucket = rows[0][0]
    copies = list(rows)  # what database, WAL and backup held before
    survivors = [wrapped for _, wrapped in rows[1:]]
    successor, rewrapped = buckets.destroy(bucket, survivors)
    assert [buckets.unwrap(successor, wrapped) for wrapped in rewrapped] == keys[1:]
    # Until the database has the new rows, the old ones still name the survivors, and only them.
    assert [buckets.unwrap(bucket, wrapped) for wrapped in survivors] == keys[1:]
    buckets.settle(bucket, survivors)
    for opened in (buckets, BucketFile.open(tmp_path / "buckets.json", root)):
        assert [opened.unwrap(successor, wrapped) for wrapped in rewrapped] == keys[1:]
        for old_bucket, wrapped in copies:
            for number in {old_bucket, successor}:
                with pytest.raises(GatewayFault, match=r"key_destroyed|unseal_failed"):
                    opened.unwrap(number, wrapped)
    with pytest.raises(GatewayFault, match="key_destroyed"):
        buckets.destroy(bucket, [])
    assert buckets.wrap(b"n" * 32)[0] not in (bucket, successor)


def test_a_destruction_cut_short_loses_no_survivor(tmp_path, root, buckets):
    kept, gone = random_key(), random_key()
    bucket, wrapped = buckets.wrap(kept)
    _, doomed = buckets.wrap(gone)
    buckets.destroy(bucket, [wrapped])
    # The process dies here, before the database has the new wrapping.
    again = BucketFile.open(tmp_path / "buckets.json", root)
    assert again.unsettled() == 1
    assert again.unwrap(bucket, wrapped) == kept
    [(successor, new)] = again.pending(bucket, [wrapped, doomed]).values()
    assert again.unwrap(successor, new) == kept
    with pytest.raises(GatewayFault, match="key_destroyed"):
        again.unwrap(bucket, doomed)
    again.settle(bucket, [wrapped])
    assert again.unsettled() == 0


def test_a_crash_while_destroying_destroys_nothing(buckets, monkeypatch):
    bucket, wrapped = buckets.wrap(b"k" * 32)

    def crash(*_arguments):
        raise OSError("crash")

    monkeypatch.setattr("keys.durable.os.replace", crash)
    with pytest.raises(OSError, match="crash"):
        buckets.destroy(bucket, [])
    monkeypatch.undo()
    assert buckets.unwrap(bucket, wrapped) == b"k" * 32


def test_a_survivor_of_another_bucket_stops_the_destruction(tmp_path, root, buckets):
    bucket, wrapped = buckets.wrap(b"k" * 32)
    _, foreign = BucketFile.open(tmp_path / "buckets.json", root).wrap(b"f" * 32)
    with pytest.raises(GatewayFault, match="unseal_failed"):
        buckets.destroy(bucket, [wrapped, foreign])
    assert buckets.unwrap(bucket, wrapped) == b"k" * 32


def test_under_a_new_root_the_old_one_opens_nothing(tmp_path, root, buckets):
    scope = Scope.open(Department.HEALTH)
    ring = KeyRing.open(tmp_path / "ring", root)
    child = ring.derive(scope, identify("cn-rid", "11010519491231002X"))
    bucket, wrapped = buckets.wrap(b"k" * 32)
    buckets.destroy(buckets.wrap(b"x" * 32)[0], [wrapped])
    new = LocalRootKey.generate()
    ring.replace_root(new)
    buckets.replace_root(new)
    for opened in (ring, KeyRing.open(tmp_path / "ring", new)):
        assert opened.derive(scope, identify("cn-rid", "11010519491231002X")) == child
    for opened in (buckets, BucketFile.open(tmp_path / "buckets.json", new)):
        assert opened.unwrap(bucket, wrapped) == b"k" * 32
    with pytest.raises(GatewayFault, match="ring_refused"):
        KeyRing.open(tmp_path / "ring", root)
    with pytest.raises(GatewayFault, match="buckets_refused"):
        BucketFile.open(tmp_path / "buckets.json", root)


def test_another_process_learns_of_a_destruction(tmp_path, root, buckets):
    bucket, wrapped = buckets.wrap(b"k" * 32)
    other = BucketFile.open(tmp_path / "buckets.json", root)
    assert other.unwrap(bucket, wrapped) == b"k" * 32
    buckets.destroy(bucket, [])
    with pytest.raises(GatewayFault, match="key_destroyed"):
        other.unwrap(bucket, wrapped)


def test_any_three_departments_recover_the_root_and_two_do_not(tmp_path):
    root = ceremony.new_root()
    split = ceremony.split(root)
    assert set(split.shares) == set(Department)
    shares = list(split.shares.values())
    for first in range(5):
        chosen = [shares[(first + step) % 5] for step in (0, 1, 3)]
        assert ceremony.recover(chosen, split.fingerprint) == root
    for wrong in (shares[:2], shares[:4], [shares[0], shares[0], shares[1]], []):
        with pytest.raises(BadRequest, match="shares_invalid"):
            ceremony.recover(wrong, split.fingerprint)


def test_a_rehearsed_recovery_opens_what_the_lost_root_wrapped(tmp_path):
    root = ceremony.new_root()
    wrapped = create_root_file(tmp_path / "root.json", "old machine", root=root).wrap(b"k" * 32, binding=b"slot")
    split = ceremony.split(root)
    (tmp_path / "root.json").unlink()
    recovered = ceremony.recover(
        [f"  {share.upper()} " for share in list(split.shares.values())[2:]], split.fingerprint
    )
    create_root_file(tmp_path / "new.json", "new machine", root=recovered)
    assert open_root_file(tmp_path / "new.json", "new machine").unwrap(wrapped, binding=b"slot") == b"k" * 32


def test_damaged_and_foreign_shares_are_refused():
    split, foreign = ceremony.split(ceremony.new_root()), ceremony.split(ceremony.new_root())
    shares, others = list(split.shares.values()), list(foreign.shares.values())
    words = shares[0].split()
    damaged = " ".join([*words[:-1], "academic" if words[-1] != "academic" else "zero"])
    for wrong in ([damaged, shares[1], shares[2]], [others[0], shares[1], shares[2]], ["", shares[1], shares[2]]):
        with pytest.raises(BadRequest, match="shares_invalid"):
            ceremony.recover(wrong, split.fingerprint)
    with pytest.raises(BadRequest, match="shares_invalid"):
        ceremony.recover(others[:3], split.fingerprint)
    with pytest.raises(BadRequest, match="root_key_invalid"):
        ceremony.split(b"short")
    assert shares[0] not in repr(split)
    with pytest.raises(TypeError):
        pickle.dumps(split)


def test_every_primitive_gives_its_published_answer():
    checks = selftest.run()
    assert {check.primitive for check in checks} >= {"ristretto255", "hpke-x25519", "hpke-xwing", "ed25519", "argon2id"}
    assert all(check.ok and check.provider and check.source for check in checks)


@pytest.mark.parametrize(
    "key", ["group", "ed25519", "x25519", "xwing", "argon2id", "aes256gcm", "slip39", "hkdf", "text"]
)
def test_one_wrong_answer_refuses_the_start(monkeypatch, key):
    answers = json.loads(json.dumps(selftest._answers()))
    name = {
        "group": "evaluated",
        "ed25519": "signature",
        "argon2id": "tag",
        "aes256gcm": "ciphertext",
        "slip39": "secret",
        "hkdf": "okm",
        "text": "text",
    }.get(key, "shared_secret")
    value = answers[key][name]
    answers[key][name] = value[:-1] + ("0" if value[-1] != "0" else "1")
    monkeypatch.setattr(selftest, "_answers", lambda: answers)
    with pytest.raises(GatewayFault, match="selftest_failed"):
        selftest.run()


def test_our_key_schedule_is_that_of_rfc_9180():
    vector = selftest._answers()["x25519"]
    secret, info = bytes.fromhex(vector["shared_secret"]), bytes.fromhex(vector["info"])
    key, nonce = selftest.key_schedule(32, 1, 16, secret, info)
    assert (key.hex(), nonce.hex()) == (vector["aes128_key"], vector["aes128_base_nonce"])
