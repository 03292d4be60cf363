"""The Celery application: `celery -A gatewayproject.celery worker`."""

import os
from pathlib import Path

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gatewayproject.settings")

app = Celery("tidegate")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@app.on_configure.connect
def make_queue_folders(sender: Celery, **_: object) -> None:
    """The filesystem broker expects its folders to exist."""
    for folder in sender.conf.broker_transport_options.values():
        Path(folder).mkdir(mode=0o700, parents=True, exist_ok=True)
