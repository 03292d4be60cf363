"""The OpenAPI documents say what the services do: examples are sent, answers compared with the schemas."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from proxy.demo.http import Server
from proxy.demo.services import SERVICES
from proxy.demo.shop import Shop

FOLDER = Path(__file__).parents[3] / "proxy" / "demo" / "openapi"


def load(service: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((FOLDER / f"{service}.yaml").read_text())
    return found


def follow(document: dict[str, Any], value: Any) -> Any:
    while isinstance(value, dict) and "$ref" in value:
        name = value["$ref"]
        value = document
        for part in name.removeprefix("#/").split("/"):
            value = value[part]
    return value


def properties(document: dict[str, Any], raw: Any) -> tuple[set[str], set[str]]:
    """Names of what may be and of what must be there."""
    schema = follow(document, raw)
    known, needed = set(schema.get("properties", {})), set(schema.get("required", ()))
    for part in schema.get("allOf", ()):
        more, must = properties(document, part)
        known, needed = known | more, needed | must
    return known, needed


def call(service: str, method: str, path: str, body: object) -> httpx.Response:
    async def run() -> httpx.Response:
        server = await Server(Shop(service).handle, "test").start("127.0.0.1", 0)
        try:
            base = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            async with httpx.AsyncClient(base_url=base, trust_env=False) as client:
                return await client.request(method, path, json=body)
        finally:
            server.close()

    return asyncio.run(run())


OPERATIONS = [
    (service, method, path)
    for service in SERVICES
    for path, item in load(service)["paths"].items()
    for method in item
]


@pytest.mark.parametrize(("service", "method", "path"), OPERATIONS)
def test_an_operation_does_what_its_document_says(service: str, method: str, path: str) -> None:
    document = load(service)
    operation = document["paths"][path][method]
    body, query = None, {}
    if "requestBody" in operation:
        body = operation["requestBody"]["content"]["application/json"]["example"]
    for raw in operation.get("parameters", ()):
        parameter = follow(document, raw)
        if parameter["in"] == "path":
            path = path.replace("{" + parameter["name"] + "}", str(parameter["schema"]["example"]))
        elif "default" in parameter["schema"]:
            query[parameter["name"]] = parameter["schema"]["default"]
    status = next(iter(operation["responses"]))
    answer = call(service, method.upper(), str(httpx.URL(path, params=query)), body)
    assert answer.status_code == int(status)
    schema = operation["responses"][status]["content"]["application/json"]["schema"]
    known, needed = properties(document, schema)
    assert needed <= set(answer.json()) <= known
