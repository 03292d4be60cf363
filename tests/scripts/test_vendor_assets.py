"""The browser libraries in the repository are those that VENDOR.json names."""

import json
import shutil

from scripts import vendor_assets


def test_every_file_is_as_published():
    assert vendor_assets.wrong() == []


def test_every_file_is_listed_with_package_version_and_licence():
    listed = json.loads((vendor_assets.ROOT / "VENDOR.json").read_text())
    files = {name for package in listed for name in package["files"]}
    present = {path.name.removesuffix(".gz") for path in vendor_assets.ROOT.iterdir()} - {"VENDOR.json"}
    assert present == files
    assert all(package["version"] and package["licence"] and package["sha512"] for package in listed)


def test_a_file_that_was_changed_is_found(tmp_path, monkeypatch):
    copy = shutil.copytree(vendor_assets.ROOT, tmp_path / "vendor")
    monkeypatch.setattr(vendor_assets, "ROOT", copy)
    (copy / "htmx.min.js").write_text("alert(1)")
    assert any("htmx.min.js is not that of htmx.org" in problem for problem in vendor_assets.wrong())


def test_icons_take_their_colour_from_the_page():
    sprite = (vendor_assets.ROOT / "icons.svg").read_text()
    assert all(f'<symbol id="{name}"' in sprite for name in vendor_assets.ICONS)
    assert "<script" not in sprite and 'fill="#' not in sprite
