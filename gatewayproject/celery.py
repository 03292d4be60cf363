"""The Celery application: `celery -A gatewayproject.celery worker -B -P solo -Q tasks,node.NAME`.

Every node runs a worker with its own beat. What concerns a node's own files goes through a queue of that
node; the other tasks take a lease in the database, so that any number of beats does no harm.
"""

import os
from pathlib import Path

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gatewayproject.settings")

TASKS = "tasks"
"""The queue of what any node may do."""

app = Celery("tidegate")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


def node_queue(name: str) -> str:
    """The queue of what this node alone may do."""
    return f"node.{name}"


@app.on_configure.connect
def make_queue_folders(sender: Celery, **_: object) -> None:
    """The filesystem broker expects its folders to exist."""
    for folder in sender.conf.broker_transport_options.values():
        Path(folder).mkdir(mode=0o700, parents=True, exist_ok=True)


@app.on_after_configure.connect
def schedule(sender: Celery, **_: object) -> None:
    """What runs when. Messages that were not taken in time are dropped: the next one does their work."""
    from django.conf import settings

    own = node_queue(settings.NODE_NAME)
    plan = (("ingest", 1.0, own), ("clean", 3600.0, own), ("certificates", 86400.0, TASKS))
    sender.conf.task_default_queue = TASKS
    sender.conf.beat_schedule = {
        **sender.conf.beat_schedule,
        **{
            f"analytics.{name}": {
                "task": f"analytics.{name}",
                "schedule": seconds,
                "options": {"queue": queue, "expires": max(seconds * 5, 10.0)},
            }
            for name, seconds, queue in plan
        },
    }
