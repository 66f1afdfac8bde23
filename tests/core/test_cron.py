"""Five fields, and a friendly no to everything else."""

from __future__ import annotations

import pytest

from boe_reconciler.core.calendar import cron
from boe_reconciler.core.calendar.cron import Cron, parse_cron
from boe_reconciler.core.calendar.days import CronDays
from boe_reconciler.core.codes import CODES


def refused(text: str) -> list[tuple[str, str]]:
    """(code, detail and help) of each error."""
    cron, findings = parse_cron(text)
    assert (cron is None) == any(each.severity == "error" for each in findings)
    assert all(each.help and each.code in CODES for each in findings)
    return [(each.code, f"{each.detail}; {each.help}") for each in findings]


def parsed(text: str) -> Cron:
    cron, findings = parse_cron(text)
    assert cron, findings
    return cron


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("* * * * * *", "BOE063", "6 fields"),
        ("0 0 6 * * ? 2027", "BOE063", "seconds or years"),
        ("* * * *", "BOE063", "has 4 fields, not five"),
        ("", "BOE063", "0 fields"),
        ("6", "BOE063", "has 1 field, not"),
        ("@reboot", "BOE063", "@hourly, @daily"),
        ("@every 5m", "BOE063", "every: 5m"),
        ("H 6 * * *", "BOE064", "Jenkins"),
        ("H/15 6 * * *", "BOE064", "jitter"),
        ("H(0-29) 6 * * *", "BOE064", "Jenkins"),
        ("R 6 * * *", "BOE064", "random"),
        ("0 6 ? * mon", "BOE064", "Quartz"),
        ("0 6 15W * *", "BOE064", "nearest weekday"),
        ("0 6 LW * *", "BOE064", "nearest weekday"),
        ("0 6 L-3 * *", "BOE064", "end of the month"),
        ("0 6 * * L5", "BOE064", "business_day: -1"),
        ("0 6 * * L5", "BOE064", "'L5' (day of week) means"),
        ("0 6 * * Mon-MON", "BOE065", "write Mon alone"),
        ("0 6 * * 5L", "BOE064", "business_day: -1"),
        ("0 6 * * friL", "BOE064", "business_day: -1"),
        ("0 6 * * L", "BOE064", "business_day: -1"),
        ("60 * * * *", "BOE064", "values are 0-59"),
        ("* 24 * * *", "BOE064", "as hour"),
        ("* * 0 * *", "BOE064", "as day of month"),
        ("* * * 13 *", "BOE064", "as month"),
        ("* * * * 8", "BOE064", "as day of week"),
        ("* * * * 8#2", "BOE064", "as day of week"),
        ("* * * * xyz#2", "BOE064", "as day of week"),
        ("* * * * mon#6", "BOE064", "as day of week"),
        ("* * * juli *", "BOE064", "as month"),
        ("1,,2 * * * *", "BOE064", "''"),
        ("*/0 * * * *", "BOE064", "'*/0'"),
        ("5/0 * * * *", "BOE064", "'5/0'"),
        ("-5 * * * *", "BOE064", "'-5'"),
        ("1-70 * * * *", "BOE064", "'1-70'"),
        ("1.5 * * * *", "BOE064", "'1.5'"),
        ("٣ * * * *", "BOE064", "'٣'"),
        ("5-5 * * * *", "BOE065", "write 5 alone"),
        ("0 6 * * sun-sun", "BOE065", "one value"),
        ("0 6 * * 7-sun", "BOE065", "one value"),
        ("0 6 * * 0-sun", "BOE065", "one value"),
        ("10-5 * * * *", "BOE065", "10-59,0-5"),
        ("0 22-0 * * *", "BOE065", "22-23,0"),
        ("0 0 * nov-feb *", "BOE065", "11-12,1-2"),
        ("0 6 * * fri-mon", "BOE065", "fri,sat,sun,mon"),
        ("*/90 * * * *", "BOE066", "single value 0"),
        ("59/15 * * * *", "BOE066", "single value 59"),
        ("0 */24 * * *", "BOE066", "every"),
        ("1-5/10 * * * *", "BOE066", "single value 1"),
        ("0 0 31 2 *", "BOE067", "10 years"),
        ("0 0 31 4,6,9,11 *", "BOE067", "10 years"),
        ("0 6 15 * 5#2", "BOE068", "restricted day of month"),
        ("0 6 1 * mon", "BOE069", "day_match: and"),
        ("0 6 */2 * 1-5", "BOE069", "day_match: or"),
    ],
)
def test_what_engines_disagree_about_is_refused(
    text: str, code: str, words: str
) -> None:
    ((found, message),) = refused(text)
    assert found == code
    assert words in message


def test_all_mistakes_of_an_expression_are_told_at_once() -> None:
    codes = [code for code, _ in refused("5-5,61 H * nov-feb L5")]
    assert codes == ["BOE065", "BOE064", "BOE064", "BOE065", "BOE064"]


def test_a_leap_day_on_a_certain_weekday_is_refused() -> None:
    cron, (finding,) = parse_cron("0 0 29 2 1", "and")
    assert (cron, finding.code) == (None, "BOE067")
    assert parse_cron("0 0 29 2 1", "or")[0]
    assert parse_cron("0 0 29 2 *")[0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("*/7 * * * *", "after 56 the next run comes 4 minutes later, not 7"),
        ("5/25 * * * *", "after 55 the next run comes 10 minutes later"),
        ("0 */5 * * *", "after 20 the next run comes 4 hours later"),
    ],
)
def test_a_step_that_does_not_divide_its_cycle_is_warned_of(
    text: str, words: str
) -> None:
    cron, (finding,) = parse_cron(text, path=("cron", 2))
    assert cron
    assert (finding.code, finding.severity) == ("BOE070", "warning")
    assert finding.path == ("cron", 2)
    assert words in finding.detail


@pytest.mark.parametrize(
    "text",
    ["*/15 * * * *", "0 */6 * * *", "1-50/7 * * * *", "0 0 */2 * *", "7 * * * *"],
)
def test_other_steps_are_not_warned_of(text: str) -> None:
    assert not parse_cron(text)[1]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("@hourly", "0 * * * *"),
        ("@daily", "0 0 * * *"),
        ("@Midnight", "00 00 */1 1-12 0-6"),
        ("@weekly", "0 0 * * sun"),
        ("@monthly", "0 0 1 * *"),
        ("@yearly", "0 0 1 jan *"),
        ("@annually", " 0\t0  1 1 * "),
        ("0 0 * * 7", "0 0 * * 0"),
        ("0 0 * * 5-7", "0 0 * * sun,FRI,sat"),
        ("0 0 * * fri-sun", "0 0 * * 0,5,6"),
        ("0 0 * * 0-7", "0 0 * * *"),
        ("0 0 * * sun-tue", "0 0 * * 7-2"),
        ("5/15 * * * *", "5,20,35,50 * * * *"),
        ("0 0 l * *", "0 0 L * *"),
        ("0 0 1-31 * 1", "0 0 * * mon"),
    ],
)
def test_two_spellings_of_one_thing_are_equal(one: str, other: str) -> None:
    assert parsed(one) == parsed(other)


def test_days_are_read_with_monday_first() -> None:
    assert parsed("0 6 * * sun").days == CronDays(weekdays=frozenset({6}))
    assert parsed("0 6 * * 7#2").days.nth == {(6, 2)}
    assert parsed("0 6 * * fri#1,mon").days.weekdays == {0}
    assert parsed("0 6 1,L * *").days.last
    assert parsed("30 6,18 * * *").times == (23_400, 66_600)


@pytest.mark.parametrize("index", range(5))
def test_what_is_read_without_croniter_is_what_croniter_makes_of_it(index: int) -> None:
    values = [*cron._VALUES[index], "MON", "Dec"]
    ranges = [f"{low}-{high}" for low in values for high in values[::5]]
    read = {item: cron._plain(index, item) for item in ["*", *values, *ranges]}
    # Backwards ones are refused before anybody asks.
    plain = {item: found for item, found in read.items() if found}
    assert len(plain) > len(read) / 3
    assert plain == {item: cron._by_croniter(index, item) for item in plain}


@pytest.mark.parametrize(
    "item", ["60", "7", "*/5", "1-5/2", "1-7", "xyz", "1-xyz", "-1"]
)
def test_what_is_not_plain_is_left_to_croniter(item: str) -> None:
    assert cron._plain(cron.WEEKDAY, item) == frozenset()
