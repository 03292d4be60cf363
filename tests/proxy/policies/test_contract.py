"""What every policy file must offer, since console, API, YAML and documentation are made from it alone."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from typing import Any

import msgspec
import pytest

import proxy.policies
from proxy.pipeline.policy import Invalid, Policy, PolicyConfig, Stage
from tests.builders import make_services

MODULES = sorted(module.name for module in pkgutil.iter_modules(proxy.policies.__path__))


@pytest.fixture(params=MODULES)
def policy(request: pytest.FixtureRequest) -> type[Policy]:
    module = importlib.import_module(f"proxy.policies.{request.param}")
    found = [
        member
        for _, member in inspect.getmembers(module, inspect.isclass)
        if issubclass(member, Policy) and member.__module__ == module.__name__
    ]
    assert len(found) == 1, "a policy file holds one policy"
    return found[0]


def properties(policy: type[Policy]) -> dict[str, dict[str, Any]]:
    schema = msgspec.json.schema(policy.Config)
    definition = schema["$defs"][schema["$ref"].rsplit("/", 1)[-1]]
    found: dict[str, dict[str, Any]] = definition["properties"]
    return found


def test_name_is_the_files(policy: type[Policy]) -> None:
    assert policy.name == policy.__module__.rsplit(".", 1)[-1].replace("_", "-")


def test_place_in_the_order(policy: type[Policy]) -> None:
    assert policy.stage in Stage
    assert 0 <= policy.rank <= 100
    assert policy.combine in ("override", "stack")


def test_catalogue_card_and_help(policy: type[Policy]) -> None:
    card, _, rest = (policy.__doc__ or "").partition("\n")
    assert 10 <= len(card) <= 90
    assert card.endswith(".")
    assert len(rest.strip()) > 80, "the help text says how to use it"


def test_config_is_strict(policy: type[Policy]) -> None:
    assert issubclass(policy.Config, PolicyConfig)
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"no-such-option": 1}, policy.Config)


def test_every_option_is_described(policy: type[Policy]) -> None:
    for name, schema in properties(policy).items():
        text = schema.get("description", "")
        assert len(text) > 10, name
        assert text.endswith("."), name


def test_every_option_has_a_default_or_an_example(policy: type[Policy]) -> None:
    for name, schema in properties(policy).items():
        assert "default" in schema or schema.get("examples"), name


def test_examples_are_valid_and_survive_a_round_trip(policy: type[Policy]) -> None:
    for name, schema in properties(policy).items():
        for example in schema.get("examples", []):
            config = _convert(policy, {name: example})
            plain = msgspec.to_builtins(config)
            assert msgspec.json.decode(msgspec.json.encode(config), type=policy.Config) == config
            assert msgspec.to_builtins(msgspec.convert(plain, policy.Config)) == plain


def test_one_example_configuration_can_run(policy: type[Policy]) -> None:
    """At least one option's example alone, or the defaults, make a policy that can be set up."""
    examples = [
        {name: schema["examples"][0]} for name, schema in properties(policy).items() if schema.get("examples")
    ]
    ready = 0
    for config in [{}, *examples]:
        try:
            decoded = _convert(policy, config)
            decoded.check()
        except (Invalid, msgspec.ValidationError):
            continue
        assert policy(decoded, make_services(), label="example").label == "example"
        ready += 1
    assert ready


def test_hooks_have_docstrings(policy: type[Policy]) -> None:
    for name, member in vars(policy).items():
        if inspect.isfunction(member) and not name.startswith("_"):
            assert member.__doc__, name


def _convert(policy: type[Policy], config: dict[str, Any]) -> PolicyConfig:
    return msgspec.convert(config, policy.Config)
