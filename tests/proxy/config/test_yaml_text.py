"""YAML as a safe, strict data language."""

import pytest

from proxy.config import yaml_text
from proxy.config.yaml_text import BadYaml, Parsed, dump


def test_values_and_lines():
    parsed = Parsed("a: 1\nb:\n  - x: yes\n  - {y: 'no'}\n")
    assert parsed.data == {"a": 1, "b": [{"x": True}, {"y": "no"}]}
    assert [parsed.line(path) for path in ("a", "b", "b[0].x", "b[1].y", "b[1].z.q", "zzz")] == [
        1,
        2,
        3,
        4,
        4,
        1,
    ]


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("a: 1\na: 2\n", 2, "twice"),
        ("a:\n  b: 1\n  'b': 2\n", 3, "twice"),
        ("a: [1\n", 2, "expected"),
        ("a: !!python/object/apply:os.system [id]\n", 1, "tag"),
        ("a: !!python/name:os.system\n", 0, "constructor"),
        ("? [1]\n: 2\n", 1, "plain text"),
        ("base: &b {x: 1}\na:\n  <<: *b\n", 3, "<<"),
        ("a: &a [*a]\n", 0, "alias"),
        ("[" * 1000 + "]" * 1000, 1, "deep"),
        ("a: \x00\n", 0, ""),
        ("b: 1\na: !!bool maybe\n", 2, "'maybe' is no bool"),
        ("b: 1\na: !!int ''\n", 2, "'' is no int"),
        ("b: 1\na: !!timestamp soon\n", 2, "'soon' is no timestamp"),
        ("b: 1\na: 2001-99-99\n", 2, "'2001-99-99' is no timestamp"),
        ("b: 1\na: 0x_\n", 2, "'0x_' is no int"),
    ],
)
def test_it_refuses(text, line, reason):
    with pytest.raises(BadYaml) as caught:
        Parsed(text)
    assert reason in str(caught.value)
    if line:
        assert caught.value.line == line


def test_aliases_that_multiply_are_stopped(monkeypatch):
    monkeypatch.setattr(yaml_text, "MAX_NODES", 10_000)
    levels = ["a0: &a0 [x]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    with pytest.raises(BadYaml, match="more than 10000 values"):
        Parsed("\n".join(levels))


def test_a_huge_file_is_not_read(monkeypatch):
    monkeypatch.setattr(yaml_text, "MAX_CHARACTERS", 10)
    with pytest.raises(BadYaml, match="longer"):
        Parsed("a: 1234567890")


@pytest.mark.parametrize(
    "value",
    [
        "",
        "x",
        "yes",
        "1",
        "1.0",
        "null",
        "a: b",
        "a\nb\n",
        " a\n  b",
        "tr \n",
        "ü☃",
        "a\r\nb",
        "\t",
        "2026-11-24",
    ],
)
def test_text_survives_exactly(value):
    assert Parsed(dump({"a": value})).data == {"a": value}


def test_long_texts_are_readable_blocks():
    assert dump({"pem": "one\ntwo\n"}) == "pem: |\n  one\n  two\n"
