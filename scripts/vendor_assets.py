"""Puts the browser libraries into `consoles/static/vendor` from their npm packages: `vendor_assets.py`.

Each file is taken as published, with its licence; `VENDOR.json` says from which package, with the SHA-512 of
the package and of every file. `--check` only compares what is there with `VENDOR.json`. The icons become one
SVG sprite. Files that are big get a `.gz` beside them, which the static file server sends as it is.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1] / "consoles" / "static" / "vendor"
PACKAGES = {
    "@tabler/core": ("1.6.1", {"package/dist/css/tabler.min.css": "tabler.min.css"}),
    "htmx.org": ("2.0.11", {"package/dist/htmx.min.js": "htmx.min.js", "package/LICENSE": "htmx.LICENSE"}),
    "uplot": (
        "1.6.32",
        {
            "package/dist/uPlot.iife.min.js": "uplot.min.js",
            "package/dist/uPlot.min.css": "uplot.min.css",
            "package/LICENSE": "uplot.LICENSE",
        },
    ),
    "@tabler/icons": ("3.51.0", {"package/LICENSE": "tabler-icons.LICENSE"}),
}
ICONS = [
    "activity-heartbeat",
    "adjustments",
    "alert-circle",
    "alert-triangle",
    "api",
    "apps",
    "arrow-left",
    "arrow-right",
    "arrows-sort",
    "ban",
    "building-lighthouse",
    "certificate",
    "check",
    "checklist",
    "chevron-down",
    "chevron-right",
    "chevron-up",
    "circle-check",
    "circle-x",
    "clock",
    "code",
    "copy",
    "chart-bar",
    "device-desktop",
    "device-floppy",
    "dots-vertical",
    "edit",
    "external-link",
    "eye",
    "file-diff",
    "filter",
    "git-commit",
    "history",
    "home",
    "info-circle",
    "key",
    "key-off",
    "list-search",
    "lock",
    "login",
    "logout",
    "menu-2",
    "moon",
    "packages",
    "player-pause",
    "plug-connected",
    "plus",
    "refresh",
    "rotate-clockwise",
    "route",
    "rocket",
    "search",
    "server",
    "server-2",
    "settings",
    "shield-check",
    "sun",
    "test-pipe",
    "trash",
    "user",
    "user-circle",
    "users",
    "users-group",
    "wave-sine",
    "world",
    "x",
    "file-code",
    "tag",
    "book",
    "send",
]
_BIG = 4096


def pack(name: str, version: str, folder: Path) -> Path:
    """The package's tarball, fetched with the ordinary npm client."""
    done = subprocess.run(
        ["npm", "pack", "--silent", "--json", f"{name}@{version}"],
        cwd=folder,
        check=True,
        stdout=subprocess.PIPE,
    )
    return folder / json.loads(done.stdout)[0]["filename"].replace("@", "").replace("/", "-")


def sprite(package: tarfile.TarFile) -> str:
    """All icons that we use as symbols of one file; they take size and colour from where they are used."""
    symbols = []
    for name in sorted(ICONS):
        member = package.extractfile(f"package/icons/outline/{name}.svg")
        if member is None:
            raise SystemExit(f"there is no icon {name}")
        svg = re.sub(r"<!--.*?-->", "", member.read().decode(), flags=re.DOTALL)
        paths = re.sub(r"\s+", " ", svg[svg.index(">", svg.index("<svg")) + 1 : svg.rindex("</svg>")]).strip()
        symbols.append(f'<symbol id="{name}" viewBox="0 0 24 24">{paths}</symbol>')
    head = (
        '<svg xmlns="http://www.w3.org/2000/svg" fill="none" stroke="currentColor" stroke-width="2" '
        'stroke-linecap="round" stroke-linejoin="round">'
    )
    return head + "\n".join(symbols) + "</svg>\n"


def sha512(data: bytes) -> str:
    """As npm and browsers write it."""
    return "sha512-" + base64.b64encode(hashlib.sha512(data).digest()).decode()


def write(name: str, data: bytes) -> str:
    """Store a file, packed as well if it is big; returns its hash."""
    path = ROOT / name
    path.write_bytes(data)
    if len(data) > _BIG and not name.endswith("LICENSE"):
        path.with_name(f"{name}.gz").write_bytes(gzip.compress(data, 9, mtime=0))
    return sha512(data)


def fetch() -> None:
    """Take all files anew."""
    ROOT.mkdir(parents=True, exist_ok=True)
    listed = []
    with tempfile.TemporaryDirectory() as temporary:
        for name, (version, files) in PACKAGES.items():
            tarball = pack(name, version, Path(temporary))
            with tarfile.open(tarball) as package:
                manifest = package.extractfile("package/package.json")
                licence = json.load(manifest)["license"] if manifest else ""
                hashes = {}
                for member, target in files.items():
                    content = package.extractfile(member)
                    if content is None:
                        raise SystemExit(f"{name} has no file {member}")
                    hashes[target] = write(target, _without_map(content.read()))
                if name == "@tabler/icons":
                    hashes["icons.svg"] = write("icons.svg", sprite(package).encode())
            integrity = sha512(tarball.read_bytes())
            listed.append(
                {"name": name, "version": version, "licence": licence, "sha512": integrity, "files": hashes}
            )
    (ROOT / "VENDOR.json").write_text(json.dumps(listed, indent=2) + "\n", encoding="utf-8")


def _without_map(data: bytes) -> bytes:
    """Source maps are not shipped, so nothing may ask for them."""
    return re.sub(rb"\n?(//|/\*)# sourceMappingURL=[^\n*]*(\*/)?", b"", data)


def wrong() -> list[str]:
    """Files that are not what `VENDOR.json` says."""
    problems = []
    for package in json.loads((ROOT / "VENDOR.json").read_text(encoding="utf-8")):
        for name, expected in package["files"].items():
            path = ROOT / name
            if not path.is_file() or sha512(path.read_bytes()) != expected:
                problems.append(f"{name} is not that of {package['name']} {package['version']}")
            packed = ROOT / f"{name}.gz"
            if packed.is_file() and gzip.decompress(packed.read_bytes()) != path.read_bytes():
                problems.append(f"{packed.name} does not hold {name}")
    return problems


if __name__ == "__main__":
    if "--check" in sys.argv[1:]:
        found = wrong()
        sys.exit("\n".join(found) if found else 0)
    fetch()
