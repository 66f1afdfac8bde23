"""`when`: at which instants a Schedule is due. docs/time.md has the rules."""

from typing import Annotated, Literal

from boe_reconciler.core.resources.base import Discriminator, Field, Model, Tag
from boe_reconciler.core.resources.types import Duration, Instant, Name

Frequency = Literal["hourly", "daily", "weekly", "monthly", "quarterly", "yearly"]
DayMatch = Literal["or", "and"]
IfDayOff = Literal["skip", "next", "previous"]


class BusinessDay(Model):
    business_day: int = Field(
        description="The n-th working day of the calendar in the period; "
        "negative counts from the end."
    )


def _on_shape(value: object) -> str:
    if isinstance(value, dict | BusinessDay):
        return "<business_day>"
    return "<day>" if isinstance(value, int) else "<text>"


#: mon…sun, "last", "MM-DD" (text), 1…31 (int), or {business_day: n}.
Day = Annotated[
    Annotated[str, Tag("<text>")]
    | Annotated[int, Tag("<day>")]
    | Annotated[BusinessDay, Tag("<business_day>")],
    Discriminator(_on_shape),
]


class Dst(Model):
    gap: Literal["shift", "skip"] | None = Field(
        None,
        description="A wall time that a clock change skips: moved (shift) or left out. "
        "Default shift; skip where the hour field covers all 24 hours.",
    )
    fold: Literal["first", "last", "both"] | None = Field(
        None,
        description="A wall time that a clock change repeats: which of the two counts. "
        "Default first; both where the hour field covers all 24 hours.",
    )


class When(Model):
    cron: str | list[str] | None = Field(
        None,
        description="Five fields, or @daily and the like; one or a merged list.",
    )
    frequency: Frequency | None = Field(
        None, description="How often, in plain words; `at` and `on` say when."
    )
    every: Duration | None = Field(
        None, description="Real time between runs, from `anchor`."
    )
    once: list[Instant] | None = Field(
        None, description="These instants and no others."
    )

    at: str | list[str] | None = Field(
        None,
        description='Wall time or times of a `frequency`, "06:30"; hourly ":15".',
    )
    on: Day | list[Day] | None = Field(
        None,
        description='Days of a `frequency`: mon…sun, 1…31, last, "MM-DD", '
        "or {business_day: 2}.",
    )
    anchor: Instant | None = Field(None, description="Where `every` counts from.")
    timezone: str | None = Field(
        None, description="An IANA zone, such as Europe/Berlin."
    )
    calendar: Name | None = Field(None, description="A Calendar with the days off.")
    if_day_off: IfDayOff | None = Field(
        None, description="What becomes of a run on a day off (skip)."
    )
    dst: Dst | None = Field(None, description="Other rules for clock changes.")
    day_match: DayMatch | None = Field(
        None, description="How a cron's day of month and day of week go together."
    )
    jitter: Duration | None = Field(None, description="Spread starts over this long.")
    start_at: Instant | None = Field(
        None, description="It is never due before this instant."
    )
    end_at: Instant | None = Field(
        None, description="It is never due after this instant."
    )
