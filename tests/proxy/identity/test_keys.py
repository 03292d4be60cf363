"""Keys and the pepper."""

import os
import stat
import subprocess
import sys

import pytest

from proxy.identity import keys

PEPPER = bytes(32)


def test_a_key_is_one_word_with_a_right_checksum():
    made = [keys.generate() for _ in range(500)]
    assert len(set(made)) == 500
    for key in made:
        assert len(key) == keys.LENGTH == 40 and key.startswith("tg_")
        assert key.replace("_", "").isalnum() and key.isascii()
        assert keys.looks_valid(key.encode())


def test_the_random_part_has_at_least_160_bits():
    assert len(keys.ALPHABET) ** keys.RANDOM_LENGTH >= 2**160
    assert set("".join(keys.generate()[3:33] for _ in range(500))) == set(keys.ALPHABET)


def test_every_typo_in_one_place_is_refused():
    key = keys.generate().encode()
    for place in range(3, len(key)):
        for other in b"0AzZ_-\xff ":
            if key[place] != other:
                assert not keys.looks_valid(key[:place] + bytes([other]) + key[place + 1 :])


def test_neighbours_swapped_cut_or_longer_are_refused():
    key = keys.generate().encode()
    for place in range(3, len(key) - 1):
        swapped = key[:place] + key[place + 1 : place + 2] + key[place : place + 1] + key[place + 2 :]
        assert swapped == key or not keys.looks_valid(swapped)
    assert not keys.looks_valid(key[:-1])
    assert not keys.looks_valid(key + b"0")
    assert not keys.looks_valid(key + b"\n")
    assert not keys.looks_valid(b"tg_")


def test_a_checksum_from_the_first_release_stays_right():
    assert keys.looks_valid(b"tg_Xsz6zb6JPHNALBrvZnombNJv6p6MHe_0Ztf9B")


@pytest.mark.parametrize(
    "raw", [b"12345678", b"x" * 128, b"TG_anything", b"with blank inside", b"a~!@#$%^&*()", b"tg-12345"]
)
def test_keys_from_elsewhere_need_no_checksum(raw):
    assert keys.looks_valid(raw)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"1234567",
        b"x" * 129,
        b" 2345678",
        b"1234567 ",
        b"1234\x005678",
        b"1234\n5678",
        "schlüssel".encode(),
    ],
)
def test_what_cannot_be_a_key_is_refused(raw):
    assert not keys.looks_valid(raw)


def test_a_crafted_key_with_a_right_checksum_is_not_issued():
    start = b"tg_" + b"\xff" * 30 + b"_"
    crafted = start + keys._checksum(start)
    assert keys.looks_valid(crafted) and not keys.well_formed(crafted)
    assert keys.well_formed(keys.generate().encode()) and keys.well_formed(b"from-elsewhere")
    assert not keys.well_formed(b"short")


def test_the_digest_depends_on_key_and_pepper():
    first = keys.digest(b"12345678", PEPPER)
    assert len(first) == 16
    assert first != keys.digest(b"12345679", PEPPER)
    assert first != keys.digest(b"12345678", b"\x01" + PEPPER[1:])
    assert first == keys.digest(b"12345678", PEPPER)


def test_the_pepper_is_made_once_for_its_owner_only(tmp_path):
    path = tmp_path / "node" / "pepper"
    first = keys.load_pepper(path, {})
    assert len(first) == 32 and keys.load_pepper(path, {}) == first
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(path.parent) == ["pepper"]


def test_of_many_processes_that_start_at_once_all_get_the_same_pepper(tmp_path):
    code = (
        "import sys; from pathlib import Path; from proxy.identity.keys import load_pepper;"
        "sys.stdin.read(1); print(load_pepper(Path(sys.argv[1]), {}).hex())"
    )
    started = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path / "pepper")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    for process in started:
        process.stdin.write("x")
        process.stdin.flush()
    assert len({process.communicate(timeout=20)[0] for process in started}) == 1


def test_the_environment_shares_a_pepper_between_nodes(tmp_path):
    text = "ab" * 32
    file = tmp_path / "shared"
    file.write_text(text + "\n")
    path = tmp_path / "pepper"
    assert keys.load_pepper(path, {"TIDEGATE_KEY_PEPPER": text}) == bytes.fromhex(text)
    assert keys.load_pepper(path, {"TIDEGATE_KEY_PEPPER_FILE": str(file)}) == bytes.fromhex(text)
    assert not path.exists()


def test_a_bad_pepper_is_refused_without_showing_it(tmp_path):
    path = tmp_path / "pepper"
    text = "ab" * 31
    cases = [
        {"TIDEGATE_KEY_PEPPER": text},
        {"TIDEGATE_KEY_PEPPER": text, "TIDEGATE_KEY_PEPPER_FILE": "x"},
        {"TIDEGATE_KEY_PEPPER_FILE": str(tmp_path / "missing")},
    ]
    for environment in cases:
        with pytest.raises(keys.PepperError) as caught:
            keys.load_pepper(path, environment)
        assert text not in str(caught.value)
    path.write_bytes(b"\xff" * 32)
    with pytest.raises(keys.PepperError):
        keys.load_pepper(path, {})
