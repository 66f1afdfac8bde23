"""Zones come from the pinned data, and clock changes are found in it."""

from __future__ import annotations

import importlib.resources
import zoneinfo
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from boe_reconciler.core.calendar import zones
from tests.oracles.minutes import changes

DAY = timedelta(days=1)


def day(text: str) -> int:
    return (date.fromisoformat(text) - date(1970, 1, 1)).days


def test_the_machine_is_not_asked_for_zones() -> None:
    data = Path(str(importlib.resources.files("tzdata")))
    assert (str(data / "zoneinfo"),) == zoneinfo.TZPATH
    assert zones.TZDB_VERSION in str(
        importlib.resources.files("tzdata").joinpath("zoneinfo/tzdata.zi").read_text()
    )


def test_the_zones_are_those_of_the_data() -> None:
    assert zones.names() == zoneinfo.available_timezones()


def test_the_release_date_of_the_zone_data_is_written_down() -> None:
    assert zones.TZDB_VERSION in zones.TZDB_RELEASED


def test_zone_data_is_old_after_half_a_year(monkeypatch: pytest.MonkeyPatch) -> None:
    released = zones.TZDB_RELEASED[zones.TZDB_VERSION]
    assert not zones.tzdb_is_old(released + 183 * DAY)
    assert zones.tzdb_is_old(released + 184 * DAY)
    monkeypatch.setattr(zones, "TZDB_RELEASED", {})
    assert not zones.tzdb_is_old(released + 1840 * DAY)


def test_instants_are_rounded_down_to_seconds() -> None:
    moment = datetime(2026, 11, 23, 12, 30, 15, 999_999, tzinfo=UTC)
    assert zones.to_datetime(zones.to_seconds(moment)) == moment.replace(microsecond=0)


def test_abbreviations_lead_to_zones_that_exist() -> None:
    meant = [name for several in zones._ABBREVIATIONS.values() for name in several]
    assert set(meant) <= zones.names()
    assert not set(zones._ABBREVIATIONS) & zones.names()


def test_a_quiet_day_begins_at_its_midnight() -> None:
    berlin = "Europe/Berlin"
    assert (
        zones.midnight(berlin, day("2026-07-01")) == day("2026-06-30") * 86_400 + 79_200
    )
    near = [day(f"2026-03-{n}") for n in (27, 28, 29, 30, 31)]
    assert [zones.midnight(berlin, each) is None for each in near] == [0, 1, 1, 1, 0]
    assert zones.unquiet_days(berlin, near[1]) == range(near[1], near[3] + 1)


@pytest.mark.parametrize("days", [1, 2, 3, 400, 401])
@pytest.mark.parametrize("zone", ["Europe/Berlin", "Africa/Casablanca", "UTC"])
def test_the_days_on_which_the_clock_changes_are_found(zone: str, days: int) -> None:
    for first in range(day("2026-03-20"), day("2026-04-10")):
        within = range(first, first + days)
        each = (one for one in within if zones.steady_offset(zone, one) is None)
        assert zones.changing_days(zone, within) == tuple(each)


def test_no_zone_changes_its_clocks_twice_within_three_days() -> None:
    """What `steady_offset`, which looks at the ends of a day only, builds on."""
    known = zones.names() - {"Factory"}
    found = {name: changes(name, 1970, 2037) for name in known}
    least = min(
        after - before for each in found.values() for before, after in pairwise(each)
    )
    assert least > 3 * 1440


@pytest.mark.parametrize(
    ("zone", "at", "offsets"),
    [
        ("Europe/Berlin", datetime(2026, 3, 29, 1, tzinfo=UTC), [3600, 7200]),
        ("Australia/Lord_Howe", datetime(2026, 4, 4, 15, tzinfo=UTC), [39600, 37800]),
        ("Pacific/Apia", datetime(2011, 12, 30, 10, tzinfo=UTC), [-36000, 50400]),
    ],
)
def test_time_is_cut_where_the_offset_changes(
    zone: str, at: datetime, offsets: list[int]
) -> None:
    middle = zones.to_seconds(at)
    for start, end in ((middle - 5000, middle + 9000), (middle - 3600, middle + 7200)):
        assert list(zones.pieces(zone, start, end)) == [
            (start, middle, offsets[0]),
            (middle, end, offsets[1]),
        ]
    assert list(zones.pieces(zone, middle - 9000, middle)) == [
        (middle - 9000, middle, offsets[0])
    ]
    assert list(zones.pieces(zone, middle, middle)) == []
