"""The short way of a tick gives the rows of the long one."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from boe_reconciler.core import due, lifecycle
from boe_reconciler.core.due import Standing, Ticks
from boe_reconciler.core.punctual import Pattern, pattern
from boe_reconciler.core.resources.schedule import Execution
from boe_reconciler.core.resources.when import When
from boe_reconciler.core.runs import Run
from boe_reconciler.core.spec import OccurrenceSet, timing_json
from tests.builders import at

START = at("2026-03-01 06:30")
WHENS: list[dict[str, Any]] = [
    {"every": "1m"},
    {"every": "7h", "jitter": "3m"},
    {"cron": "0 7 * * *"},
    {"cron": "30 2 * * *", "timezone": "Europe/Berlin"},
    {"cron": ["0 6 * * mon", "15 9 1 * *"], "jitter": "20m"},
    {"once": ["2026-03-01T07:00:00Z", "2026-03-29T01:30:00Z"]},
]
EXECUTIONS: list[dict[str, Any]] = [
    {},
    {"deadline": "10m", "grace": "5m", "overlap": "buffer_one"},
    {"deadline": "20d", "catchup": "none"},
    {"catchup_window": "2h", "overlap": "allow_all", "max_concurrent_runs": 3},
    {"grace": "1h", "retry": {"max_retries": 0}},
]


def standing(
    when: dict[str, Any], execution: dict[str, Any], mark: datetime
) -> Standing:
    """A schedule whose next occurrence is known, as after a tick."""
    found = When.model_validate({"timezone": "UTC", **when})
    occurrences = OccurrenceSet(when=found, timezone="UTC")
    one = Standing(
        name="daily",
        uid="u1",
        revision="r1",
        spec_digest="d1",
        timing=timing_json(occurrences, Execution.model_validate(execution)),
        covered_from=START,
        high_water=mark,
        next_due=None,
        paused_in_git=False,
        connection="db",
    )
    return replace(one, next_due=due.timetable(one).next(mark))


def named(found: Pattern, one: Standing, now: datetime) -> Run:
    """The pattern, with what names the schedule."""
    return replace(
        found.run,
        run_id=one.name + found.run.run_id,
        schedule=one.name,
        schedule_uid=one.uid,
        not_before=found.not_before(one.uid),
        revision=one.revision,
        spec_digest=one.spec_digest,
        connection=one.connection,
        created_at=now,
    )


@given(
    when=st.sampled_from(WHENS),
    execution=st.sampled_from(EXECUTIONS),
    mark=st.integers(0, 60 * 86_400),
    after=st.integers(0, 50_000_000),
)
@example(when=WHENS[-1], execution={}, mark=59 * 86_400, after=0)
@example(when=WHENS[0], execution={}, mark=0, after=90_000_000)
@example(when=WHENS[1], execution={}, mark=0, after=0)
@example(when=WHENS[2], execution={}, mark=0, after=0)
def test_the_pattern_gives_the_row_that_is_owed(
    when: dict[str, Any], execution: dict[str, Any], mark: int, after: int
) -> None:
    one = standing(when, execution, START + timedelta(seconds=mark))
    found = pattern(one.timing, one.high_water)
    if one.next_due is None:
        assert found is None
        return
    assert found is not None
    assert found.run.occurrence == one.next_due
    now = one.next_due + timedelta(microseconds=after)
    long = due.owed(one, Ticks(since=one.high_water, last=now), now)
    if found.following is not None and found.following <= now:
        assert len(long.runs) > 1
        return
    assert [lifecycle.inserted(new, one, now) for new in long.runs] == [
        named(found, one, now)
    ]
    assert long.standing == replace(one, high_water=now, next_due=found.following)
    assert not long.gaps
