"""What all tests share. `--database` tests run on SQLite, and on PostgreSQL where DATABASE_URL names one."""

import gc
import os
import tempfile

from django.contrib.auth.hashers import Argon2PasswordHasher
from hypothesis import settings

# How long one example takes says more of the machine than of the code.
settings.register_profile("tidegate", deadline=None)
settings.load_profile("tidegate")

# Before the settings are read: tests leave the data directory of a running gateway alone.
os.environ["TIDEGATE_DATA"] = os.environ.get("TIDEGATE_TEST_DATA") or tempfile.mkdtemp(
    prefix="tidegate-test-"
)

# Passwords of tests are not worth the 100 MB and the time that keep guessers out of a stolen database.
Argon2PasswordHasher.time_cost, Argon2PasswordHasher.memory_cost, Argon2PasswordHasher.parallelism = 1, 8, 1


def pytest_collection_finish() -> None:
    """What is here now stays to the end: the collector need not look through it again and again."""
    gc.collect()
    gc.freeze()
