"""Typed readers of environment variables."""

import stat
import subprocess
import sys

import pytest
from django.core.exceptions import ImproperlyConfigured

from gatewayproject import env


def test_numbers_within_bounds(monkeypatch):
    assert env.integer("X_NUMBER", 5) == 5
    monkeypatch.setenv("X_NUMBER", "7")
    assert env.integer("X_NUMBER", 5) == 7
    for value in ("x", "-1", "1.5", "99999999999"):
        monkeypatch.setenv("X_NUMBER", value)
        with pytest.raises(ImproperlyConfigured, match="X_NUMBER"):
            env.integer("X_NUMBER", 5)
    monkeypatch.setenv("X_NUMBER", "65536")
    with pytest.raises(ImproperlyConfigured, match="65535"):
        env.port("X_NUMBER", 1)


def test_booleans(monkeypatch):
    assert env.boolean("X_FLAG", True) is True
    for value, wanted in (("1", True), ("Yes", True), ("off", False), ("", False)):
        monkeypatch.setenv("X_FLAG", value)
        assert env.boolean("X_FLAG") is wanted
    monkeypatch.setenv("X_FLAG", "maybe")
    with pytest.raises(ImproperlyConfigured, match="X_FLAG"):
        env.boolean("X_FLAG")


def test_lists(monkeypatch):
    assert env.words("X_LIST", ["a"]) == ["a"]
    monkeypatch.setenv("X_LIST", " a, ,b ")
    assert env.words("X_LIST", []) == ["a", "b"]


def test_secrets_come_from_files(monkeypatch, tmp_path):
    file = tmp_path / "secret"
    file.write_text("hush\n")
    monkeypatch.setenv("X_SECRET_FILE", str(file))
    assert env.secret("X_SECRET") == "hush"
    monkeypatch.setenv("X_SECRET", "other")
    with pytest.raises(ImproperlyConfigured, match="not both"):
        env.secret("X_SECRET")
    monkeypatch.delenv("X_SECRET")
    monkeypatch.setenv("X_SECRET_FILE", str(tmp_path / "none"))
    with pytest.raises(ImproperlyConfigured, match="X_SECRET_FILE"):
        env.secret("X_SECRET")


def test_a_secret_is_made_once_and_is_private(tmp_path):
    path = tmp_path / "secret_key"
    first = env.generated_secret(path)
    assert len(first) >= 50 and env.generated_secret(path) == first
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in tmp_path.iterdir()] == ["secret_key"]
    path.write_text("short")
    with pytest.raises(ImproperlyConfigured, match="32"):
        env.generated_secret(path)


def test_processes_that_start_at_once_agree(tmp_path):
    code = (
        "import sys, pathlib, gatewayproject.env as e; print(e.generated_secret(pathlib.Path(sys.argv[1])))"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "secret")]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(6)]
    assert len({process.communicate(timeout=60)[0] for process in started}) == 1


def test_postgresql_urls():
    found = env.database("postgres://us%40er:p%2Fw@db:5433/name?sslmode=require", None)
    wanted = {"USER": "us@er", "PASSWORD": "p/w", "HOST": "db", "PORT": "5433", "NAME": "name"}
    assert wanted.items() <= found.items()
    assert found["OPTIONS"] == {"sslmode": "require"}
    assert env.database("postgresql:///name?host=/run/pg", None)["HOST"] == "/run/pg"
    for bad in ("mysql://x/y", "nonsense", "postgres://a:b@c:port/d"):
        with pytest.raises(ImproperlyConfigured, match="DATABASE_URL"):
            env.database(bad, None)


def test_sqlite_is_the_default(tmp_path):
    found = env.database("", tmp_path / "x.sqlite3")
    assert found["NAME"].endswith("x.sqlite3")
    assert found["OPTIONS"]["transaction_mode"] == "IMMEDIATE"


def test_a_data_directory_that_cannot_be_made(monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("X_DATA", str(tmp_path / "file" / "below"))
    with pytest.raises(ImproperlyConfigured, match="X_DATA"):
        env.folder("X_DATA", tmp_path)
