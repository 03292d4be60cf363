"""The Celery application: `celery -A gatewayproject.celery worker -P solo`.

Every node runs one such worker, with its beat in a thread of it, so that neither can be there without the
other. What concerns a node's own files goes through a queue of that node; the other tasks take a lease in the
database, so that any number of beats does no harm.
"""

import os
import signal
import threading
import warnings
from pathlib import Path

from celery import Celery, bootsteps
from celery.beat import Service
from celery.exceptions import SecurityWarning
from celery.worker import WorkController
from kombu import Queue

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gatewayproject.settings")
# It warns root of pickled messages; ours are JSON.
warnings.filterwarnings("ignore", category=SecurityWarning, module="celery.platforms")

TASKS = "tasks"
"""The queue of what any node may do."""
FILES = "filesystem://localhost//"
"""The broker without a server; without a host in it every start would warn."""


class Beat(bootsteps.StartStopStep):
    """The schedule, in a thread of the worker."""

    def start(self, worker: WorkController) -> None:
        """Begin to send."""
        self._service, self._stopping = Service(worker.app, max_interval=1), False
        threading.Thread(target=self._run, name="beat", daemon=True).start()

    def stop(self, worker: WorkController) -> None:
        """Stop, and store when each task was last sent."""
        self._stopping = True
        self._service.stop(wait=True)

    def _run(self) -> None:
        try:
            self._service.start()
        finally:
            if not self._stopping:  # a worker that nobody tells anything is of no use: have it started anew
                os.kill(os.getpid(), signal.SIGTERM)


app = Celery("tidegate")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
app.steps["worker"].add(Beat)


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
    conf = sender.conf
    if conf.broker_url == "filesystem://":
        conf.broker_url = FILES
    conf.worker_hijack_root_logger = False  # Django's LOGGING holds here too
    conf.task_default_queue = TASKS
    conf.task_queues = (Queue(TASKS), Queue(own))
    conf.beat_max_loop_interval = 1.0
    conf.beat_schedule = {
        **conf.beat_schedule,
        **{
            f"analytics.{name}": {
                "task": f"analytics.{name}",
                "schedule": seconds,
                "options": {"queue": queue, "expires": max(seconds * 5, 10.0)},
            }
            for name, seconds, queue in plan
        },
    }
