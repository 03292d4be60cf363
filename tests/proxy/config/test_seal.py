"""Sealing of short secrets."""

import pytest

from proxy.config.seal import PREFIX, Seals, WrongSeal, is_sealed

SECRET = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEI\n-----END PRIVATE KEY-----\n"
OLD, NEW = "the-secret-of-last-year-" * 2, "the-secret-of-this-year-" * 2


def test_what_is_sealed_says_nothing_and_comes_back():
    seals = Seals([NEW])
    first, second = seals.seal(SECRET), seals.seal(SECRET)
    assert first != second and first.startswith(PREFIX) and is_sealed(first)
    assert "PRIVATE" not in first and "MC4C" not in first
    assert seals.open(first) == seals.open(second) == SECRET
    assert seals.seal("") == "" and seals.open(SECRET) == SECRET


def test_secrets_of_before_open_and_the_newest_seals():
    old = Seals([OLD]).seal(SECRET)
    both = Seals([NEW, OLD])
    assert both.open(old) == SECRET
    assert not both.is_newest(old) and both.is_newest(both.seal(SECRET))
    assert Seals([NEW]).open(both.seal(SECRET)) == SECRET


def spoiled(text, at):
    return text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :]


@pytest.mark.parametrize(
    "change",
    [
        lambda text: spoiled(text, len(PREFIX)),
        lambda text: spoiled(text, len(text) // 2),
        lambda text: text[:-4],
        lambda text: PREFIX,
        lambda text: PREFIX + "AAAA",
        lambda text: PREFIX + "not base64!",
        lambda text: text.replace("sealed:1:", "sealed:2:"),
    ],
)
def test_what_was_changed_or_is_of_another_version_does_not_open(change):
    seals = Seals([NEW])
    text = change(seals.seal(SECRET))
    with pytest.raises(WrongSeal) as caught:
        seals.open(text)
    assert text.removeprefix(PREFIX) not in str(caught.value) or text == PREFIX
    assert seals.try_open(text) == text and not seals.is_newest(text)


def test_another_secret_opens_nothing():
    with pytest.raises(WrongSeal, match="another SECRET_KEY"):
        Seals([NEW]).open(Seals([OLD]).seal(SECRET))
