"""Templates: what they see, and what they can never do."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, date, datetime
from urllib.parse import quote
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boe_reconciler.core.calendar.periods import Period
from boe_reconciler.core.templates import TemplateError, attributes_in, names_in, render

OCTOBER = Period(start=date(2026, 10, 1), end=date(2026, 10, 31), label="2026-10")
CONTEXT = {
    "occurrence": datetime(2026, 11, 2, 7, tzinfo=ZoneInfo("Europe/Berlin")),
    "occurrence_utc": datetime(2026, 11, 2, 6, tzinfo=UTC),
    "period": OCTOBER,
    "schedule": "margin-monthly",
    "report": "Margin by region",
    "owner": "finance",
    "run_id": "margin-monthly.20261102T060000Z",
    "parameters": {"region": "north", "limits": [1, 2]},
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("{date}", "{date}"),
        ("{{ period.start }}", "2026-10-01"),
        ("{{period.end}}", "2026-10-31"),
        ("{{ period }}", "2026-10"),
        ("{{ period.start.month }}", "10"),
        ("{{ occurrence }}", "2026-11-02 07:00:00+01:00"),
        ("{{ occurrence.date() }}", "2026-11-02"),
        ("{{ occurrence.strftime('%H:%M') }}", "07:00"),
        ("{{ occurrence_utc.hour }}", "6"),
        ("{{ schedule }} of {{ owner }}", "margin-monthly of finance"),
        ("{{ report | upper }}", "MARGIN BY REGION"),
        ("{{ parameters.region }}", "north"),
        ("{{ parameters['region'] }}", "north"),
        ("{% for x in parameters.limits %}{{ x * 2 }};{% endfor %}", "2;4;"),
        ("{% if period.start.month > 9 %}late{% endif %}", "late"),
        ("{# a word to the reader #}", ""),
        ("{{ 7 % 4 }}", "3"),
    ],
)
def test_a_template_is_filled_in(text: str, expected: str) -> None:
    assert render(text, CONTEXT) == expected


@pytest.mark.parametrize(
    ("text", "message", "todo"),
    [
        ("{{ perod }}", 'there is no "perod"', 'did you mean "period"?'),
        ("{{ zzz }}", 'there is no "zzz"', "known: occurrence, occurrence_utc"),
        ("{{ part.to }}", "there is no part here", "only in a burst"),
        ("{{ rows }}", "there is no rows here", "only in mails"),
        ("{{ inputs.to }}", "there is no inputs here", "Distribution"),
        ("{{ period.strat }}", 'period has no "strat"', ""),
        ("{{ parameters.regin }}", 'there is no "regin"', ""),
        ("{{ parameters.limits[5] }}", "no element 5", ""),
        ("{{ 1 / 0 }}", "division by zero", ""),
        ("{{ period | nice }}", "No filter named 'nice'", ""),
    ],
)
def test_what_cannot_be_filled_in_is_said_in_words(
    text: str, message: str, todo: str
) -> None:
    with pytest.raises(TemplateError) as told:
        render(text, CONTEXT)
    assert message in told.value.message
    assert todo in told.value.help


def test_a_name_that_only_others_have_is_told_with_what_to_do() -> None:
    without = {key: value for key, value in CONTEXT.items() if key != "period"}
    with pytest.raises(TemplateError, match="there is no period here") as told:
        render("{{ period.start }}", without)
    assert "previous_month" in told.value.help


def test_a_template_that_cannot_be_read_says_in_which_line() -> None:
    with pytest.raises(TemplateError) as told:
        render("first\n{{ period.start }\n", CONTEXT)
    assert told.value.line == 2


@pytest.mark.parametrize(
    "text",
    [
        # No clock, no chance.
        "{{ now() }}",
        "{{ occurrence.now() }}",
        "{{ occurrence.today() }}",
        "{{ occurrence.utcnow() }}",
        "{{ period.start.today() }}",
        "{{ period.start.today }}",
        "{{ occurrence.fromtimestamp(0) }}",
        "{{ occurrence.astimezone() }}",
        "{{ [1, 2, 3] | random }}",
        "{{ lipsum() }}",
        # No way out.
        "{{ ''.__class__ }}",
        "{{ period.__init__.__globals__ }}",
        "{{ occurrence['__class__'] }}",
        "{{ ''|attr('__class__') }}",
        "{{ self.__init__ }}",
        "{{ cycler.__init__.__globals__ }}",
        "{% include 'secret.txt' %}",
        "{% import 'os' as os %}",
        "{% extends 'x' %}",
        "{{ parameters.clear() }}",
        "{{ parameters.limits.append(3) }}",
        # No text without end.
        "{{ 'x' * 10000000000 }}",
        "{{ [0] * 10000000000 }}",
        "{{ 9 ** 9 ** 9 }}",
        "{{ '%9999999999d' % 1 }}",
        "{{ '{:>9999999999}'.format(1) }}",
        "{{ 'x'.center(9999999999) }}",
        "{{ 'x' | center(9999999999) }}",
        "{{ 'x'.zfill(9999999999) }}",
        "{{ '%9999999999d' | format(1) }}",
        "{% for x in range(100000000) %}x{% endfor %}",
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    ],
)
def test_a_template_reaches_nothing_but_its_context(text: str) -> None:
    with pytest.raises(TemplateError):
        render(text, CONTEXT)


def test_a_text_that_grows_too_long_is_refused() -> None:
    with pytest.raises(TemplateError, match="more than 100,000 characters"):
        render("{% for x in t %}{{ t }}{% endfor %}", {"t": "x" * 1000})


def test_the_names_that_a_template_takes_are_known_without_filling_it_in() -> None:
    text = "{{ period.start }} {% for a in rows %}{{ a }} {{ x }}{% endfor %}"
    assert names_in(text) == {"period", "rows", "x"}
    assert names_in("{date}") == set()


STEPS = "start end month day year hour minute label tzinfo key real upper date x region"


@given(
    st.sampled_from([*CONTEXT, "nobody"]),
    st.lists(st.sampled_from(STEPS.split()), min_size=1, max_size=3),
)
def test_a_plain_look_up_is_what_jinja_makes_of_it(name: str, steps: list[str]) -> None:
    text = f"{{{{ {'.'.join([name, *steps])} }}}}"
    with_jinja = _told(f"{text}{{# it has to be loaded for this #}}")
    assert _told(text) == with_jinja


def _told(text: str) -> str:
    try:
        return render(text, CONTEXT)
    except TemplateError as error:
        return f"refused: {error.message}"


@given(st.text(alphabet="{}%# \nabperiod.|()'\"0123456789-+*_[]", max_size=60))
def test_any_text_is_filled_in_or_refused_in_words(text: str) -> None:
    with suppress(TemplateError):
        assert isinstance(render(text, CONTEXT), str)


@given(st.text())
def test_what_an_address_is_filled_with_is_percent_encoded(text: str) -> None:
    found = render(
        "https://x.example/?a={{ inputs.a }}", {"inputs": {"a": text}}, url=True
    )
    assert found == f"https://x.example/?a={quote(text, safe='')}"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("plain", set()),
        ("{{ 1 }}", set()),
        ("{{ inputs.who }} {{ inputs['to'] }}", {("inputs", "who"), ("inputs", "to")}),
        ("{{ period.start.month }} {{ period }}", {("period", "start")}),
        ("{{ inputs[0] }} {{ inputs[run_id] }}", set()),
        ("{% for inputs in period %}{{ inputs.who }}{% endfor %}", set()),
        ("{{ inputs.who | default('you') }}", set()),
        ("{% if inputs.who is defined %}{{ inputs.who }}{% endif %}", set()),
    ],
)
def test_what_a_template_looks_up_is_known(
    text: str, found: set[tuple[str, str]]
) -> None:
    assert attributes_in(text) == found
