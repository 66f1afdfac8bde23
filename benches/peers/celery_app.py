"""Celery as its documentation sets it up where no task may get lost.

Late acknowledgement, tasks of a lost worker rejected back into the queue, publishing
that is retried, one task fetched at a time, a broker that keeps its queue on disk, and
a visibility timeout well above the length of a task.
"""

from __future__ import annotations

import os

from celery import Celery
from celery.schedules import crontab

from benches.peers.effects import happened

TASKS = int(os.environ["TASKS"])
BROKER = f"redis://127.0.0.1:{os.environ['REDIS_PORT']}/0"

app = Celery("peer", broker=BROKER)
app.conf.update(
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_ignore_result=True,
    task_publish_retry=True,
    worker_prefetch_multiplier=1,
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    broker_transport_options={"visibility_timeout": 15},
    timezone="UTC",
    beat_schedule={
        f"task-{number:03d}": {
            "task": "peer.act",
            "schedule": crontab(),
            "args": (f"task-{number:03d}",),
        }
        for number in range(TASKS)
    },
)


@app.task(name="peer.act")
def act(task: str) -> None:
    happened(task)
