"""The shop's services, their instances and ports, and what they know."""

from __future__ import annotations

from typing import Any

SERVICES = ("products", "inventory", "reviews")
COPIES = 2
INSTANCES = [(service, copy) for service in SERVICES for copy in range(1, COPIES + 1)]
BASE_PORT = 8100
BASE_PATH = "/shop"
"""Each service's Api answers below it, under the service's name."""

Item = dict[str, Any]


def _product(number: int, name: str, price: str, *tags: str) -> Item:
    return {"id": number, "name": name, "price": price, "currency": "EUR", "tags": list(tags)}


def _stock(product: int, warehouse: str, in_stock: int) -> Item:
    return {"id": product, "product": product, "warehouse": warehouse, "in_stock": in_stock}


def _review(number: int, product: int, stars: int, text: str) -> Item:
    return {"id": number, "product": product, "stars": stars, "text": text}


ITEMS: dict[str, list[Item]] = {
    "products": [
        _product(1, "Storm lantern", "39.00", "light", "outdoor"),
        _product(2, "Tide clock", "84.50", "home"),
        _product(3, "Sea chart, framed", "120.00", "home", "paper"),
        _product(4, "Rope, 10 m", "12.90", "outdoor"),
        _product(5, "Brass compass", "56.00", "outdoor", "brass"),
        _product(6, "Ship's bell", "72.00", "home", "brass"),
        _product(7, "Oilskin jacket", "149.00", "outdoor", "clothing"),
        _product(8, "Wool sweater", "98.00", "clothing"),
        _product(9, "Deck lamp", "45.00", "light", "home"),
        _product(10, "Log book", "18.50", "paper"),
        _product(11, "Signal flags, set of 26", "64.00", "outdoor"),
        _product(12, "Barometer", "110.00", "home", "brass"),
    ],
    "inventory": [
        _stock(1, "north", 41),
        _stock(2, "north", 7),
        _stock(3, "south", 0),
        _stock(4, "south", 260),
        _stock(5, "north", 18),
        _stock(6, "south", 5),
        _stock(7, "north", 33),
        _stock(8, "north", 62),
        _stock(9, "south", 14),
        _stock(10, "south", 120),
        _stock(11, "north", 3),
        _stock(12, "south", 9),
    ],
    "reviews": [
        _review(1, 1, 5, "Survived a gale."),
        _review(2, 1, 4, "Bright, a little heavy."),
        _review(3, 2, 5, "Right to the minute."),
        _review(4, 4, 3, "It is a rope."),
        _review(5, 5, 5, "Points north. What more do you want?"),
        _review(6, 7, 2, "Let water in at the collar."),
        _review(7, 8, 5, "Warm even when wet."),
        _review(8, 12, 4, "Told me about the storm a day before."),
    ],
}


def port_of(service: str, copy: int, base: int = BASE_PORT) -> int:
    """The port of an instance: `base` and up, in the order of INSTANCES."""
    return base + INSTANCES.index((service, copy))
