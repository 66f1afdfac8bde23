"""What a run is about: its period, and its parameters with their final values."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from boe_reconciler.core.errors import InputError, Permanent
from boe_reconciler.core.prepare import (
    INPUTS,
    PARAMETERS,
    Binding,
    check_options,
    prepare,
)
from boe_reconciler.core.resources.distribution import Input
from boe_reconciler.core.resources.report import Parameter
from boe_reconciler.core.runs import RunOptions
from boe_reconciler.core.spec import RunSpec
from tests.builders import a_spec

#: 00:30 on the first of November in Berlin, still October in UTC.
OCCURRENCE = datetime(2026, 10, 31, 23, 30, tzinfo=UTC)


def a_report(**parameters: Any) -> dict[str, Any]:
    return {"connection": "flights", "query": "select 1", "parameters": parameters}


def prepared(spec: RunSpec, **options: Any) -> Any:
    return prepare(
        spec,
        run_id="daily.20261031T233000Z",
        occurrence=OCCURRENCE,
        options=RunOptions(**options),
    )


def values(declared: dict[str, Any], given: dict[str, Any], **options: Any) -> Any:
    spec = a_spec(
        report=a_report(**declared),
        parameters=given,
        timezone="Europe/Berlin",
        period="previous_month",
    )
    return prepared(spec, **options).parameters


@pytest.mark.parametrize(
    ("declared", "given", "expected"),
    [
        ({"type": "date"}, "{{ period.start }}", date(2026, 10, 1)),
        ({"type": "date"}, "2026-12-25", date(2026, 12, 25)),
        ({"type": "int"}, "{{ occurrence.day }}", 1),
        ({"type": "int"}, "{{ occurrence_utc.day }}", 31),
        ({"type": "int"}, 7, 7),
        ({"type": "decimal"}, "12.50", Decimal("12.50")),
        ({"type": "bool"}, True, True),
        ({"type": "string"}, "{{ schedule }} {{ run_id }}", None),
        ({"type": "enum", "values": ["a", "b"]}, "b", "b"),
        ({"type": "list"}, ["{{ owner }}", "x"], ["ops@example.com", "x"]),
        ({"type": "int", "default": 5}, None, 5),
        ({"type": "date", "default": "{{ period.end }}"}, None, date(2026, 10, 31)),
        ({"type": "int", "required": True, "default": None}, 3, 3),
        ({"type": "int"}, None, None),
    ],
)
def test_a_value_is_typed_as_declared(declared: Any, given: Any, expected: Any) -> None:
    if declared == {"type": "string"}:
        expected = "daily daily.20261031T233000Z"
    found = values({"x": declared}, {} if given is None else {"x": given})
    assert found == {"x": expected}
    assert type(found["x"]) is type(expected)


@pytest.mark.parametrize(
    ("declared", "given", "message"),
    [
        ({"type": "date"}, "soon", 'parameters.x: "soon" is not a date'),
        ({"type": "int"}, "{{ owner }}", "is not a whole number"),
        ({"type": "string"}, 5, "parameters.x: 5 is not text"),
        ({"type": "string"}, "{{ perod }}", 'there is no "perod"'),
        ({"type": "list"}, ["a", "{{ x }}"], 'parameters.x[1]: there is no "x"'),
        ({"type": "string"}, "{{ parameters.y }}", "there is no parameters here"),
        ({"type": "int", "required": True}, None, '"x" is required (int)'),
        ({"type": "string"}, "{{ period.start }", "unexpected '}'"),
    ],
)
def test_what_does_not_fit_is_permanent_and_says_where(
    declared: Any, given: Any, message: str
) -> None:
    with pytest.raises(Permanent) as told:
        values({"x": declared}, {} if given is None else {"x": given})
    assert told.value.reason == "parameters_invalid"
    assert message in told.value.message


def test_a_parameter_that_the_report_does_not_have_is_refused() -> None:
    with pytest.raises(Permanent, match='no parameter "mnth"') as told:
        values({"month": {"type": "int"}}, {"mnth": 1})
    assert told.value.help == 'did you mean "month"?'
    with pytest.raises(Permanent) as told:
        values({}, {"x": 1})
    assert told.value.help == "remove it: it has no parameters"
    with pytest.raises(Permanent) as told:
        values({"month": {"type": "int"}}, {"zz": 1})
    assert told.value.help == "it has month"


def test_what_somebody_asked_for_wins_and_is_no_template() -> None:
    declared = {"x": {"type": "string", "default": "c"}}
    assert values(declared, {"x": "b"}, parameters={"x": "{{ a }}"}) == {"x": "{{ a }}"}
    assert values(
        {"n": {"type": "int", "required": True}}, {}, parameters={"n": "4"}
    ) == {"n": 4}


def test_the_period_is_that_of_the_schedules_zone() -> None:
    spec = a_spec(period="previous_month", timezone="Europe/Berlin")
    found = prepared(spec)
    assert str(found.period) == "2026-10"
    assert found.context["period"] == found.period
    assert found.context["occurrence"].isoformat() == "2026-11-01T00:30:00+01:00"
    assert prepared(a_spec(period="previous_month")).period.label == "2026-09"
    assert prepared(a_spec()).period is None
    assert "period" not in prepared(a_spec()).context


def test_templates_of_mails_see_the_parameters() -> None:
    spec = a_spec(report=a_report(n={"type": "int", "default": 1}))
    assert prepared(spec).context["parameters"] == {"n": 1}


def test_inputs_are_bound_in_their_own_words() -> None:
    binding = Binding(
        definitions={
            "to": Input(type="emails", required=True),
            "note": Input(type="string", default="x"),
        },
        context={"owner": "ops@example.com"},
        words=INPUTS,
    )
    found, findings = binding.bind({"to": "{{ owner }}, anna@example.com"})
    assert not findings
    assert found == {"to": ["ops@example.com", "anna@example.com"], "note": "x"}
    _, findings = binding.bind({"too": "x"})
    assert [(f.code, f.path, f.at_key) for f in findings] == [
        ("BOE105", ("too",), True),
        ("BOE106", (), True),
    ]


def test_all_findings_come_at_once() -> None:
    binding = Binding(
        definitions={
            "a": Parameter(type="int"),
            "b": Parameter(type="date"),
            "c": Parameter(type="string", required=True),
            "d": Parameter(type="list"),
        },
        context={},
        words=PARAMETERS,
    )
    _, findings = binding.bind({"a": "x", "b": "{{ }", "d": ["{{ q }}"], "e": 1})
    assert [(f.code, f.path) for f in findings] == [
        ("BOE108", ("e",)),
        ("BOE107", ("a",)),
        ("BOE180", ("b",)),
        ("BOE109", ()),
        ("BOE181", ("d", 0)),
    ]


# --- What a person asks for -----------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message", "todo"),
    [
        ({"parameters": {"mnth": "1"}}, 'no parameter "mnth"', 'did you mean "month"?'),
        ({"parameters": {"zz": "1"}}, 'no parameter "zz"', "It has month."),
        ({"parameters": {"month": "x"}}, "The parameter month", ""),
        ({"only": "locl"}, 'does not deliver to "locl"', 'did you mean "local"?'),
        ({"only": "zzz"}, 'does not deliver to "zzz"', "It has local."),
        ({"to": "me@example.com"}, "has no mail that could go to me@", "--dry-run"),
    ],
)
def test_a_slip_at_the_command_line_is_told_before_anything_runs(
    options: Any, message: str, todo: str
) -> None:
    spec = a_spec(report=a_report(month={"type": "int"}))
    with pytest.raises(InputError) as told:
        check_options(spec, RunOptions(**options))
    assert message in told.value.message
    assert todo in told.value.help


def test_a_report_without_parameters_takes_none() -> None:
    with pytest.raises(InputError) as told:
        check_options(a_spec(), RunOptions(parameters={"x": "1"}))
    assert told.value.help == "It has none."


def test_what_fits_is_let_through() -> None:
    spec = a_spec(report=a_report(month={"type": "int"}))
    check_options(spec, RunOptions(parameters={"month": "3"}, only="local"))
