"""APScheduler 3 as its documentation sets it up where no run may get lost.

A persistent job store, explicit ids that replace what is stored, no limit on how late a
run may start, every missed run apart, and more than one instance of a job at a time.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore
from apscheduler.schedulers.blocking import BlockingScheduler
from apscheduler.triggers.cron import CronTrigger

from benches.peers.effects import happened

TASKS = int(os.environ["TASKS"])
DEFAULTS = {"misfire_grace_time": None, "coalesce": False, "max_instances": 10}


def main() -> None:
    scheduler = BlockingScheduler(
        timezone="UTC",
        jobstores={"default": SQLAlchemyJobStore(f"sqlite:///{os.environ['STORE']}")},
        executors={"default": ThreadPoolExecutor(4)},
        job_defaults=DEFAULTS,
    )
    # Stored jobs keep what they still owe: added again, they would forget it.
    if not Path(os.environ["STORE"]).exists():
        for number in range(TASKS):
            name = f"task-{number:03d}"
            scheduler.add_job(
                happened, CronTrigger.from_crontab("* * * * *"), [name], id=name
            )
    scheduler.start()


if __name__ == "__main__":
    sys.exit(main())
