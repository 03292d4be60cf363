"""Whose address counts at the console behind proxies."""

import pytest
from django.core.cache import cache
from django.http import HttpResponse
from django.test import Client, RequestFactory
from django.urls import reverse

from consoles.client_address import client_address
from tests.consoles.people import PASSWORD, member


def seen(settings, peer, trusted=("10.0.0.0/8",), family="X-FORWARDED", **headers):
    """The address that pages see."""
    settings.TIDEGATE_TRUSTED_PROXIES, settings.TIDEGATE_FORWARDED_HEADER = list(trusted), family
    found = []
    answer = client_address(lambda request: HttpResponse(found.append(request.META["REMOTE_ADDR"])))
    answer(RequestFactory().get("/", REMOTE_ADDR=peer, headers=headers))
    return found[0]


@pytest.mark.parametrize(
    ("peer", "said", "address"),
    [
        ("10.0.0.1", "192.0.2.7", "192.0.2.7"),
        ("10.0.0.1", "6.6.6.6, 192.0.2.7, 10.0.0.2", "192.0.2.7"),
        ("10.0.0.1", "192.0.2.7, nonsense", "10.0.0.1"),
        ("10.0.0.1", "10.0.0.9, 10.0.0.2", "10.0.0.9"),
        ("10.0.0.1", "[2001:db8::1]:443", "2001:db8::1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("::ffff:10.0.0.1", "192.0.2.7", "192.0.2.7"),
        ("198.51.100.1", "192.0.2.7", "198.51.100.1"),
        ("", "192.0.2.7", ""),
    ],
)
def test_only_trusted_proxies_are_believed(settings, peer, said, address):
    assert seen(settings, peer, **{"X-Forwarded-For": said}) == address


def test_by_default_nobody_is(settings):
    assert seen(settings, "127.0.0.1", trusted=(), **{"X-Forwarded-For": "192.0.2.7"}) == "127.0.0.1"


def test_one_family_of_headers_counts(settings):
    both = {"Forwarded": 'for="192.0.2.7:80";proto=https', "X-Forwarded-For": "6.6.6.6"}
    assert seen(settings, "10.0.0.1", family="FORWARDED", **both) == "192.0.2.7"
    assert seen(settings, "10.0.0.1", **both) == "6.6.6.6"


@pytest.mark.django_db
def test_behind_a_proxy_each_address_has_its_own_attempts(settings):
    cache.clear()
    settings.TIDEGATE_TRUSTED_PROXIES = ["127.0.0.1"]
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

    def attempt(address, name):
        data = {"username": name, "password": "wrong"}
        client = Client(headers={"X-Forwarded-For": address})
        return client.post(reverse("console:sign-in"), data).status_code

    assert [attempt("192.0.2.7", f"name{n}") for n in range(21)] == [422] * 20 + [429]
    assert attempt("192.0.2.8", "name") == 422


@pytest.mark.django_db
def test_one_name_has_its_attempts_however_it_is_written(settings):
    cache.clear()
    settings.TIDEGATE_TRUSTED_PROXIES = ["127.0.0.1"]
    user = member("vera")
    user.set_password(PASSWORD)
    user.save()
    spelled = ["vera", " vera", "vera ", "\uff56era", "\tvera"]
    for number in range(10):
        data = {"username": spelled[number % len(spelled)], "password": "wrong"}
        client = Client(headers={"X-Forwarded-For": f"192.0.2.{number}"})
        assert client.post(reverse("console:sign-in"), data).status_code == 422
    answer = Client().post(reverse("console:sign-in"), {"username": "vera\n", "password": PASSWORD})
    assert answer.status_code == 429
