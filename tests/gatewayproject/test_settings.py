"""Settings, the console's landing page, and a first start on an empty data directory."""

import os
import sqlite3
import stat
import subprocess
import sys

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


def test_a_bad_setting_names_itself(tmp_path):
    found = manage(tmp_path, "check", TIDEGATE_GATEWAY_PORT="eighty")
    assert found.returncode != 0 and "TIDEGATE_GATEWAY_PORT must be a whole number" in found.stderr


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
