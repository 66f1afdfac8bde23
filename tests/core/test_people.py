"""Whose address stands where: followed through all that can stand in between."""

from __future__ import annotations

from datetime import date

import pytest

from boe_reconciler.core.errors import InputError
from boe_reconciler.core.language.documents import read_documents
from boe_reconciler.core.people import People, Use, same_address

ANNA = "anna@example.com"
HEAD = "kind: Distribution\nmetadata: {name: d}\n"
MAILS = """\
kind: Distribution
metadata: {name: d}
spec: {inputs: 7, destinations: [{type: email, to: '{{ a }}@b.c'}]}
"""


def people(files: dict[str, str]) -> People:
    documents = [
        document
        for path, text in files.items()
        if path.endswith(".yaml")
        for document in read_documents(path, text.encode())[0]
    ]

    def read(path: str) -> bytes:
        if path not in files:
            raise InputError("not there")
        return files[path].encode()

    return People(documents=documents, read=read, today=date(2026, 6, 1))


def schedule(spec: str, name: str = "s") -> str:
    return f"kind: Schedule\nmetadata: {{name: {name}, owner: finance}}\nspec: {spec}\n---\n"


def mail(to: str) -> str:
    return f'{{type: email, to: {to}, cc: "", subject: x}}'


def uses(files: dict[str, str] | str, address: str = ANNA) -> list[Use]:
    given = {"schedules/x.yaml": files} if isinstance(files, str) else files
    return people(given).of(address)


def told(found: list[Use]) -> list[tuple[str, ...]]:
    return [(use.role, use.name, use.destination or "", *use.through) for use in found]


def test_a_destination_in_place_is_received() -> None:
    assert told(uses(schedule(f"{{deliver_to: [{mail(ANNA)}]}}"))) == [
        ("to", "s", "email")
    ]


def test_a_distribution_by_its_name_alone_is_followed() -> None:
    distribution = f"{HEAD}spec: {{destinations: [{mail(ANNA)}]}}\n---\n"
    found = uses(distribution + schedule("{deliver_to: [d]}"))
    assert told(found) == [("to", "s", "d/email", "Distribution d")]


def test_notices_of_the_policy_are_received_too() -> None:
    distribution = f"{HEAD}spec: {{destinations: [{mail(ANNA)}]}}\n---\n"
    policy = "kind: Policy\nmetadata: {name: p}\nspec: {notices: {ops: [d]}}\n"
    (found,) = uses(distribution + policy)
    assert (found.kind, found.destination, found.received) == (
        "Policy",
        "d/email",
        True,
    )


def test_a_distribution_that_nobody_uses_is_not_received() -> None:
    distribution = f"{HEAD}spec: {{destinations: [{mail(ANNA)}]}}\n"
    (found,) = uses(distribution)
    assert (found.kind, found.destination, found.received) == (
        "Distribution",
        "d/email",
        False,
    )


def test_a_value_of_a_template_or_of_the_defaults_keeps_its_place() -> None:
    template = (
        f"kind: ScheduleTemplate\nmetadata: {{name: t}}\nspec: {{notify: [{ANNA}]}}\n"
    )
    policy = f"kind: Policy\nmetadata: {{name: p}}\nspec: {{defaults: {{deliver_to: [{mail(ANNA)}]}}}}\n"
    files = {
        "templates/t.yaml": template,
        "policy.yaml": policy,
        "schedules/s.yaml": schedule("{template: t}"),
    }
    found = uses(files)
    assert told(found) == [("notify", "s", ""), ("to", "s", "email")]
    assert [use.range.filename for use in found] == ["templates/t.yaml", "policy.yaml"]


def test_a_template_that_nobody_uses_is_told_as_itself() -> None:
    template = (
        f"kind: ScheduleTemplate\nmetadata: {{name: t}}\nspec: {{notify: [{ANNA}]}}\n"
    )
    (found,) = uses(template)
    assert (found.kind, found.name) == ("ScheduleTemplate", "t")


def test_who_may_approve_is_listed() -> None:
    text = schedule(f"{{approval: {{by: [{ANNA}]}}}}")
    assert told(uses(text)) == [("approval", "s", "")]


def test_senders_are_listed() -> None:
    target = f'{{type: email, from: "Anna <{ANNA}>", reply_to: {ANNA}}}'
    assert [use.role for use in uses(schedule(f"{{deliver_to: [{target}]}}"))] == [
        "from",
        "reply_to",
    ]


@pytest.mark.parametrize(
    ("to", "through"),
    [
        ('"{{ owner }}"', "owner"),
        ('"{{ parameters.who }}"', "parameter who"),
        ('"x@example.com, {{ parameters.who }}"', "parameter who"),
        ('"{{ parameters.usual }}"', "parameter usual"),
    ],
)
def test_templates_hand_values_on(to: str, through: str) -> None:
    head = "kind: Report\nmetadata: {name: r}\n"
    report = f"{head}spec: {{parameters: {{usual: {{default: {ANNA}}}}}}}\n---\n"
    text = schedule(
        f"{{report: r, parameters: {{who: {ANNA}}}, deliver_to: [{mail(to)}]}}"
    )
    found = uses(report + text.replace("finance", ANNA))
    assert ("to", "s", "email", through) in told(found)


def test_the_default_of_a_report_in_place_counts_too() -> None:
    report = f"{{parameters: {{who: {{default: {ANNA}}}}}}}"
    target = mail('"{{ parameters.who }}"')
    found = uses(schedule(f"{{report: {report}, deliver_to: [{target}]}}"))
    assert told(found) == [("to", "s", "email", "parameter who")]


def test_a_template_that_builds_an_address_is_told_as_what_makes_it() -> None:
    for text in ('"{{ owner }}@example.com"', "\"{{ 'anna' }}@example.com\""):
        spec = f"{{deliver_to: [{mail(text)}]}}"
        (found,) = uses(schedule(spec).replace("finance", "anna"))
        assert found.through == ("a template",)
        assert found.span is None


def test_a_template_over_the_parts_of_a_burst_is_filled_in_for_each() -> None:
    target = mail('"{{ part.who }}@example.com", bcc: "{{ part.who }}"')
    spec = f"{{burst: {{recipients_file: p.csv}}, deliver_to: [{target}]}}"
    files = {"schedules/s.yaml": schedule(spec), "schedules/p.csv": "who\nanna\nbob\n"}
    assert told(uses(files)) == [("to", "s", "email", "a template")]
    assert told(uses(files, "bob@example.com")) == [("to", "s", "email", "a template")]


@pytest.mark.parametrize(
    "to",
    [
        '"{{ part.to }}"',
        '"{{ inputs.to }}"',
        '"{{ occurrence.year }}@example.com"',
        '"{{ parameters.x }}"',
    ],
)
def test_what_only_a_run_can_know_is_told_as_unknown(to: str) -> None:
    found = people({"schedules/x.yaml": schedule(f"{{deliver_to: [{mail(to)}]}}")})
    assert [use.destination for use in found.unknown] == ["email"]
    assert found.of(ANNA) == []


@pytest.mark.parametrize(
    "content",
    [None, "\udcff", 'to\n"open', "other\nx\n"],
    ids=["missing", "bytes", "quote", "column"],
)
def test_a_file_of_recipients_that_does_not_help_is_unknown(
    content: str | None,
) -> None:
    target = mail('"{{ part.to }}"')
    spec = f"{{burst: {{recipients_file: p.csv}}, deliver_to: [{target}]}}"
    files = {"schedules/s.yaml": schedule(spec)}
    if content is not None:
        files["schedules/p.csv"] = content
    found = people(files)
    assert len(found.unknown) == 1


def test_a_file_of_recipients_outside_the_repo_is_not_read() -> None:
    target = mail('"{{ part.to }}"')
    spec = f"{{burst: {{recipients_file: ../../p.csv}}, deliver_to: [{target}]}}"
    assert len(people({"schedules/s.yaml": schedule(spec)}).unknown) == 1


def test_a_cell_with_doubled_quotes_stands_for_its_row() -> None:
    target = mail('"{{ part.to }}"')
    spec = f"{{burst: {{recipients_file: p.csv}}, deliver_to: [{target}]}}"
    cell = '"""Anna"" <anna@example.com>"'
    files = {
        "schedules/s.yaml": schedule(spec),
        "schedules/p.csv": f"region,to\nnorth,{cell}\n",
    }
    (found,) = uses(files)
    assert found.range.start.line == 2
    assert found.span is not None


def test_an_address_written_with_escapes_has_no_span() -> None:
    (found,) = uses(schedule('{notify: ["\\u0061nna@example.com"]}'))
    assert found.span is None


@pytest.mark.parametrize(
    "text",
    [
        "kind: Group\nmetadata: {name: finance}\nspec: {members: anna}\n",
        "kind: Group\nmetadata: {name: finance}\nspec: {members: [{email: 7}, 8]}\n",
        "kind: Distribution\nmetadata: {name: d}\nspec: {destinations: {type: email}}\n",
        schedule("{deliver_to: 7}"),
        schedule(
            "{deliver_to: [7, {distribution: nobody}, {type: email, to: [7, {group: [x]}]}]}"
        ),
        schedule("{template: [x], notify: {a: b}}"),
        schedule("7"),
        MAILS,
    ],
)
def test_what_has_another_shape_is_passed_over(text: str) -> None:
    assert uses(text) == []


@pytest.mark.parametrize("until", ["2026-05-31", "soon", "2026-02-31", "2026-06-01"])
def test_a_member_receives_up_to_their_last_day(until: str) -> None:
    member = f"{{email: {ANNA}, until: {until}}}"
    group = f"kind: Group\nmetadata: {{name: g}}\nspec: {{members: [{member}]}}\n---\n"
    text = schedule("{deliver_to: [{type: email, to: [{group: g}], subject: x}]}")
    received = [use for use in uses(group + text) if use.received]
    assert len(received) == (0 if until == "2026-05-31" else 1)


def test_an_input_is_looked_for_where_it_is_given_then_where_it_is_declared() -> None:
    target = mail('"{{ inputs.to }}"')
    distribution = (
        "kind: Distribution\nmetadata: {name: d}\n"
        f"spec: {{inputs: {{to: {{type: emails, default: {ANNA}}}}}, destinations: [{target}]}}\n---\n"
    )
    given = schedule("{deliver_to: [{distribution: d, inputs: {to: bob@example.com}}]}")
    assert [use.role for use in uses(distribution + given)] == ["default"]
    usual = schedule("{deliver_to: [{distribution: d, inputs: 7}]}")
    received = [use for use in uses(distribution + usual) if use.received]
    assert told(received) == [("to", "s", "d/email", "Distribution d", "input to")]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Anna@Example.com", "anna@example.COM", True),
        ("a@exämple.de", "a@xn--exmple-cua.de", True),
        ("a@example.com", "b@example.com", False),
        ("a@.de", "a@.de", True),
    ],
)
def test_addresses_are_the_same_as_people_mean_it(
    one: str, other: str, same: bool
) -> None:
    assert same_address(one, other) is same
