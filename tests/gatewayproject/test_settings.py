"""Settings, the console's landing page, and a first start on an empty data directory."""

import os
import re
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest


def manage(tmp_path, *words, **environment):
    return subprocess.run(
        [sys.executable, "-W", "error", "manage.py", *words],
        env={**os.environ, "TIDEGATE_DATA": str(tmp_path), **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_a_first_start_makes_its_secret_and_database(tmp_path):
    data = tmp_path / "data"
    found = manage(data, "migrate", "-v0", DATABASE_URL="")
    assert (found.returncode, found.stderr) == (0, "")
    assert stat.S_IMODE(data.stat().st_mode) == 0o700
    assert stat.S_IMODE((data / "secret_key").stat().st_mode) == 0o600
    database = sqlite3.connect(data / "tidegate.sqlite3")
    assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    database.close()


def test_the_project_is_sound(tmp_path):
    assert manage(tmp_path, "check").returncode == 0
    found = manage(tmp_path, "makemigrations", "--check", "--dry-run")
    assert found.returncode == 0, found.stdout


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("TIDEGATE_GATEWAY_PORT", "eighty", "must be a whole number, not 'eighty'"),
        ("TIDEGATE_DEMO_PORT", "65535", "must be from 1 to 65530, not 65535"),
        ("TIDEGATE_DEMO", "perhaps", "must be true or false, not 'perhaps'"),
        ("TIDEGATE_TASKS", "some", "must be true or false, not 'some'"),
        ("TIDEGATE_DRAIN_DELAY", "-1", "must be from 0 to 3600, not -1"),
        ("TIDEGATE_RAW_ROWS", "many", "must be a whole number, not 'many'"),
        ("TIDEGATE_HOUR_DAYS", "1", "must be from 3 to 36500, not 1"),
        ("TIDEGATE_LOG_LEVEL", "loud", "must be one of DEBUG, INFO, WARNING, ERROR, CRITICAL, not 'LOUD'"),
    ],
)
def test_a_bad_setting_is_one_line_with_its_name(tmp_path, name, value, reason):
    found = manage(tmp_path, "rungateway", **{name: value})
    assert (found.returncode, found.stderr) == (1, f"tidegate: {name} {reason}\n")


def test_every_setting_is_documented():
    root = Path(__file__).resolve().parents[2]
    read = re.findall(r'env\.\w+\(\s*"([A-Z_0-9]+)"', (root / "gatewayproject" / "settings.py").read_text())
    documented = (root / "docs" / "configuration.md").read_text()
    assert len(read) > 25
    assert [name for name in read if f"`{name}`" not in documented] == []
    elsewhere = [
        path for path in (root / "proxy").rglob("*.py") if "gatewayproject import env" in path.read_text()
    ]
    assert elsewhere == []


def test_the_landing_page(client):
    answer = client.get("/")
    assert answer.status_code == 302 and answer["Location"] == "/console/"
    assert answer["X-Frame-Options"] == "DENY" and answer["X-Content-Type-Options"] == "nosniff"
    assert client.get("/", headers={"host": "evil.example"}).status_code == 400
    assert client.get("/admin/").status_code == 404


def test_the_console_is_an_asgi_application():
    from gatewayproject.asgi import application

    assert set(application.application_mapping) == {"http", "websocket"}


def test_celery_makes_the_folders_of_its_queue(tmp_path):
    code = (
        "import django; django.setup()\n"
        "from gatewayproject.celery import app\n"
        "@app.task\ndef hello(): pass\n"
        "hello.delay()\n"
    )
    environment = {
        **os.environ,
        "TIDEGATE_DATA": str(tmp_path),
        "DJANGO_SETTINGS_MODULE": "gatewayproject.settings",
        "REDIS_URL": "",
    }
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, timeout=60)
    assert len(list((tmp_path / "celery" / "queue").iterdir())) == 1


@pytest.mark.parametrize("name", ["SECRET_KEY", "DATABASE_URL"])
def test_secrets_may_come_from_files(tmp_path, name):
    found = manage(tmp_path, "check", **{f"{name}_FILE": str(tmp_path / "none")})
    assert f"{name}_FILE" in found.stderr
