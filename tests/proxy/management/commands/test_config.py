"""`manage.py config`."""

import io
import stat
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from proxy.config.publish import live_revision
from proxy.models import Certificate
from tests.proxy.config.pem import make_pair

pytestmark = [pytest.mark.django_db, pytest.mark.database]
SHOP = Path(__file__).parents[4] / "docs/examples/shop.yaml"


def run(*words):
    out, err = io.StringIO(), io.StringIO()
    try:
        call_command("config", *map(str, words), stdout=out, stderr=err)
    except CommandError as error:
        return 1, out.getvalue(), f"{err.getvalue()}{error}"
    except SystemExit as stop:
        return stop.code, out.getvalue(), err.getvalue()
    return 0, out.getvalue(), err.getvalue()


def test_from_file_to_live_and_back(tmp_path):
    assert run("validate", SHOP) == (0, "Valid; 0 warnings.\n", "")
    code, out, _ = run("diff", SHOP)
    assert code == 1 and "+ route products\n" in out
    code, out, err = run("apply", SHOP, "--publish", "--note", "first")
    assert (code, err) == (0, "") and "Published revision 1: 12 changes." in out
    assert run("diff", SHOP) == (0, "No difference.\n", "")
    assert "first" in run("revisions")[1]
    assert run("export", "-o", tmp_path / "out.yaml")[0] == 0
    assert run("diff", tmp_path / "out.yaml") == (0, "No difference.\n", "")
    assert "Published revision 2: 0 changes." in run("rollback", 1)[1]
    assert live_revision().note == "Rollback to revision 1"


def test_export_writes_to_standard_output():
    assert run("export") == (0, "format: 1\n", "")


def test_an_exported_file_is_private(tmp_path):
    run("export", "-o", tmp_path / "out.yaml", "--with-secrets")
    assert stat.S_IMODE((tmp_path / "out.yaml").stat().st_mode) == 0o600


@pytest.mark.parametrize("action", ["validate", "diff", "apply"])
def test_all_problems_are_listed_and_nothing_is_done(tmp_path, action):
    file = tmp_path / "bad.yaml"
    file.write_text("format: 1\nplans: [{name: A}, {name: B}]\n")
    code, out, err = run(action, file)
    assert (code, out) == (1, "")
    assert "line 2: plan A: name: must be" in err and "plan B" in err
    assert "Refused: 2 problems; nothing was changed." in err
    assert run("export")[1] == "format: 1\n"


def test_unreachable_routes_are_told(tmp_path):
    file = tmp_path / "shop.yaml"
    route = "{name: %s, upstream: u}"
    file.write_text(
        "format: 1\nupstreams: [{name: u, targets: [{host: a, port: 1}]}]\n"
        f"apis: [{{slug: s, routes: [{route % 'a'}, {route % 'b'}]}}]\n"
    )
    code, out, err = run("validate", file)
    assert (code, out) == (0, "Valid; 1 warning.\n")
    assert err.startswith("warning: line 3: route b")


def test_a_missing_file_and_a_missing_revision(tmp_path):
    assert "Cannot read" in run("apply", tmp_path / "none.yaml")[2]
    assert "There is no revision 7." in run("rollback", 7)[2]


def test_reseal_counts_and_names_what_is_lost(settings):
    chain, key = make_pair("shop.example.com")
    Certificate.objects.create(name="shop", chain=chain, key=key)
    run("publish")
    assert run("reseal") == (0, "0 private keys sealed anew, 2 up to date, 0 cannot be opened.\n", "")
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "the-secret-that-comes-after-the-first"
    assert run("reseal")[:2] == (0, "2 private keys sealed anew, 0 up to date, 0 cannot be opened.\n")
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "a-secret-that-nobody-ever-sealed-with", []
    code, out, err = run("reseal")
    assert (code, out) == (1, "0 private keys sealed anew, 0 up to date, 2 cannot be opened.\n")
    assert "certificate shop: key: was sealed" in err and "certificate shop of revision 1" in err
