"""Templates: what is filled in, what is refused when."""

from __future__ import annotations

import pytest

from proxy.pipeline.policy import Invalid
from proxy.pipeline.template import Template, UnsafeValue
from tests.builders import make_exchange, make_identity


@pytest.mark.parametrize(
    ("text", "constant"),
    [
        ("", b""),
        ("plain: value, 100%", b"plain: value, 100%"),
        ("{{a}} }} {{", b"{a} } {"),
        ("grüß", "grüß".encode()),
        ("tab\tis fine", b"tab\tis fine"),
        ("{client_ip}", None),
        ("a{params.x}b", None),
    ],
)
def test_constants(text: str, constant: bytes | None) -> None:
    template = Template(text)
    assert template.constant == constant
    if constant is not None:
        assert template.render(make_exchange()) == template.render_cleaned(make_exchange()) == constant


def test_values() -> None:
    x = make_exchange(client_ip="::1", identity=make_identity("grüß"), params={"id": "7%208"})
    assert Template("{client_ip}|{consumer}|{params.id}|{params.none}").render(x) == "::1|grüß|7 8|".encode()


def test_values_are_not_templates_themselves() -> None:
    x = make_exchange(identity=make_identity("{client_ip}"))
    assert Template("{consumer}").render(x) == b"{client_ip}"


@pytest.mark.parametrize("value", ["a%0d%0ab", "a%00b", "%7f", "a%1bb"])
def test_control_bytes_from_the_request(value: str) -> None:
    x = make_exchange(params={"x": value})
    with pytest.raises(UnsafeValue):
        Template("<{params.x}>").render(x)
    assert Template("<{params.x}>").render_cleaned(x) in (b"<ab>", b"<>")


@pytest.mark.parametrize(
    "text",
    [
        "a\rb",
        "a\nb",
        "a\x00b",
        "\x7f",
        "{",
        "}",
        "{a",
        "a}",
        "{}",
        "{unknown}",
        "{params.}",
        "{params.a.b}",
        "{ api }",
    ],
)
def test_refused(text: str) -> None:
    with pytest.raises(Invalid) as caught:
        Template(text, "add_headers.x")
    assert caught.value.field == "add_headers.x"
