"""The shop's services, their instances and ports, and what they know."""

from __future__ import annotations

from typing import Any

SERVICES = ("products", "inventory", "reviews")
COPIES = 2
INSTANCES = [(service, copy) for service in SERVICES for copy in range(1, COPIES + 1)]
BASE_PORT = 8100

Item = dict[str, Any]

ITEMS: dict[str, list[Item]] = {
    "products": [
        {"id": 1, "name": "Storm lantern", "price": "39.00", "currency": "EUR", "tags": ["light", "outdoor"]},
        {"id": 2, "name": "Tide clock", "price": "84.50", "currency": "EUR", "tags": ["home"]},
        {
            "id": 3,
            "name": "Sea chart, framed",
            "price": "120.00",
            "currency": "EUR",
            "tags": ["home", "paper"],
        },
        {"id": 4, "name": "Rope, 10 m", "price": "12.90", "currency": "EUR", "tags": ["outdoor"]},
    ],
    "inventory": [
        {"id": 1, "product": 1, "warehouse": "north", "in_stock": 41},
        {"id": 2, "product": 2, "warehouse": "north", "in_stock": 7},
        {"id": 3, "product": 3, "warehouse": "south", "in_stock": 0},
        {"id": 4, "product": 4, "warehouse": "south", "in_stock": 260},
    ],
    "reviews": [
        {"id": 1, "product": 1, "stars": 5, "text": "Survived a gale."},
        {"id": 2, "product": 1, "stars": 4, "text": "Bright, a little heavy."},
        {"id": 3, "product": 2, "stars": 5, "text": "Right to the minute."},
        {"id": 4, "product": 4, "stars": 3, "text": "It is a rope."},
    ],
}


def port_of(service: str, copy: int, base: int = BASE_PORT) -> int:
    """The port of an instance: `base` and up, in the order of INSTANCES."""
    return base + INSTANCES.index((service, copy))
