"""`boe validate` says it before: nobody would be told of a failure."""

from __future__ import annotations

import pytest

from boe_reconciler.core.listeners import Listeners
from boe_reconciler.core.spec import Served
from tests.core.test_troubles import a_trouble
from tests.revisions import GOOD, NOW, Files, a_document, plan_of

HOOK = "{type: webhook, url: 'https://example.com/x'}"
MAIL = "{type: email, connection: mail, to: [a@example.com], subject: x}"


def smtp(name: str) -> dict[str, str]:
    spec = "type: smtp\nhost: mail.example.com\nfrom: boe@example.com"
    return {f"connections/{name}.yaml": a_document("Connection", name, spec)}


def to(*destinations: str) -> dict[str, str]:
    spec = f"destinations: [{', '.join(destinations)}]"
    return {"distributions/archive.yaml": a_document("Distribution", "archive", spec)}


def policy(spec: str = "limits: {min_interval: 1m}") -> dict[str, str]:
    return {"policy.yaml": a_document("Policy", "policy", spec)}


def daily(fields: str) -> dict[str, str]:
    return {"schedules/daily.yaml": GOOD["schedules/daily.yaml"] + f"  {fields}\n"}


TEMPLATE = a_document("ScheduleTemplate", "told", "notify: [channel]")
CHANNEL = a_document("Distribution", "channel", f"destinations: [{HOOK}]")

#: What is there beside a Policy without an ops channel -> whether somebody is told.
TOLD = {
    "a webhook of a report": (to(HOOK), False),
    "somebody who is named and cannot be mailed": (
        daily("notify: [ann@example.com]"),
        False,
    ),
    "two ways to mail, and no word which": (
        {**to(HOOK), **smtp("one"), **smtp("two")},
        False,
    ),
    "one way to mail": ({**to(HOOK), **smtp("mail")}, True),
    "mails of its own": (
        {**to(HOOK, MAIL), **smtp("mail"), **smtp("other")},
        True,
    ),
    "a Distribution that is named": (
        {**to(HOOK), **daily("notify: [channel]"), "distributions/c.yaml": CHANNEL},
        True,
    ),
    "a Distribution that a template names": (
        {
            **to(HOOK),
            **daily("template: told"),
            "templates/t.yaml": TEMPLATE,
            "distributions/c.yaml": CHANNEL,
        },
        True,
    ),
}


def warned(files: Files) -> list[str]:
    plan = plan_of({**GOOD, **files})
    assert not [one for one in plan.problems if one.severity == "error"]
    return [str(one) for one in plan.problems if one.code == "BOE270"]


@pytest.mark.parametrize("name", TOLD)
def test_a_policy_without_an_ops_channel_is_warned_of_where_nobody_is_told(
    name: str,
) -> None:
    files, told = TOLD[name]
    assert bool(warned({**policy(), **files})) is not told
    # The same as is found out when something fails.
    plan = plan_of({**GOOD, **policy(), **files})
    served = Served(
        attempted="x", serving="x", objects=plan.activation.objects, problems=()
    )
    listeners = Listeners(served=served, today=NOW.date())
    assert bool(listeners.of(a_trouble())) is told


def test_the_warning_is_one_for_all_with_its_line_and_what_to_add() -> None:
    schedule = GOOD["schedules/daily.yaml"]
    others = {
        f"schedules/{name}.yaml": schedule.replace("name: daily", f"name: {name}")
        for name in ("weekly", "yearly")
    }
    (line,) = warned({**to(HOOK), **policy(), **others})
    assert line.startswith("policy.yaml:6:3: warning BOE270 spec: nobody can be told")
    assert "daily (nor of 2 other Schedules)" in line
    assert "add `notices: {ops: [NAME]}`" in line


@pytest.mark.parametrize(
    "files",
    [
        {**to(HOOK), **policy("notices: {ops: []}")},
        {**to(HOOK), **policy("notices: {ops: [archive]}")},
        to(HOOK),
        policy(),
    ],
    ids=["it says so", "an ops channel", "no Policy", "what stays in a folder"],
)
def test_nobody_is_warned_who_meant_it_or_only_tries(files: Files) -> None:
    assert warned(files) == []
