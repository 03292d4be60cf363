"""Opens the node agent's way to the database, and says in one line why there is none."""

from __future__ import annotations

from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor

from proxy.agent.database import DatabaseSource
from proxy.identity.keys import load_pepper
from proxy.identity.store import IdentityStore
from proxy.node import NodeDir, SharedState
from proxy.supervisor.errors import StartError


class MigrationsMissing(StartError):
    """The database is there but does not fit this version of Tidegate."""


def missing_migrations() -> list[str]:
    """Names of migrations that are not applied yet. Raises what the database raises."""
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    return [f"{migration.app_label}.{migration.name}" for migration, _ in plan]


def connect(node: NodeDir, state: SharedState) -> DatabaseSource:
    """Raises MigrationsMissing, or what the database raises if it cannot be reached."""
    missing = missing_migrations()
    if missing:
        raise MigrationsMissing(
            f"The database lacks {len(missing)} migrations ({missing[0]} is the first). "
            "Run: python manage.py migrate"
        )
    store = IdentityStore(node.identity, pepper=load_pepper(node.pepper), state=state, writable=True)
    return DatabaseSource(store)


def describe(error: Exception | None) -> str:
    """What to tell a person whose first start fails because of the database."""
    if isinstance(error, StartError):
        return str(error)
    what = "it does not answer" if error is None else _first_line(error)
    hint = "Start it or set DATABASE_URL" if _is_database(error) else "The log says more"
    return (
        f"The database {_name()} cannot be used: {what}. {hint}; "
        "this node has no configuration of its own yet to serve without it."
    )


def _is_database(error: Exception | None) -> bool:
    return error is None or isinstance(error, DatabaseError)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


def _name() -> str:
    settings = connection.settings_dict
    if connection.vendor == "sqlite":
        return str(settings["NAME"])
    return f"{settings['NAME']} on {settings['HOST'] or 'the local socket'}:{settings['PORT'] or 5432}"
