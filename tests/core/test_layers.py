"""A Schedule over its template over the Policy's defaults."""

from __future__ import annotations

from boe_reconciler.core.language.documents import Document, read_documents
from boe_reconciler.core.language.layers import merged_schedule

POLICY = """\
kind: Policy
spec:
  defaults: {timezone: Europe/Berlin, execution: {grace: 15m, timeout: 1m}, period: previous_day}
"""
TEMPLATE = """\
kind: ScheduleTemplate
spec:
  template: other
  when: {cron: "0 4 * * *", calendar: bank}
  execution: {timeout: 1h, retry: {max_retries: 1}}
  deliver_to: [archive, mail]
"""
SCHEDULE = """\
kind: Schedule
spec:
  template: nightly
  when: {cron: "0 5 * * *"}
  execution: {retry: {initial: 1m}, deadline: null}
  period: null
  deliver_to: [mine]
"""


def document(filename: str, text: str) -> Document:
    return read_documents(filename, text.encode())[0][0]


def merged(schedule: str, template: str | None, policy: str | None) -> Document:
    return merged_schedule(
        document("s.yaml", schedule),
        document("t.yaml", template) if template else None,
        document("policy.yaml", policy) if policy else None,
    )


def test_maps_merge_the_rest_replaces_null_removes_and_when_is_replaced_whole() -> None:
    assert merged(SCHEDULE, TEMPLATE, POLICY).data["spec"] == {
        "template": "nightly",
        "when": {"cron": "0 5 * * *", "timezone": "Europe/Berlin"},
        "execution": {
            "grace": "15m",
            "timeout": "1h",
            "retry": {"initial": "1m", "max_retries": 1},
        },
        "deliver_to": ["mine"],
    }


def test_each_value_keeps_the_file_it_came_from() -> None:
    found = merged(SCHEDULE, TEMPLATE, POLICY)

    def file_of(*path: str | int) -> str:
        return found.range(("spec", *path)).filename

    assert file_of("when", "timezone") == "policy.yaml"
    assert file_of("when", "cron") == "s.yaml"
    assert file_of("execution", "timeout") == "t.yaml"
    assert file_of("execution", "grace") == "policy.yaml"
    assert file_of("execution", "retry", "initial") == "s.yaml"
    assert file_of("execution", "retry", "max_retries") == "t.yaml"
    assert found.key_range(("spec", "execution", "timeout")).filename == "t.yaml"


def test_a_when_of_the_template_or_the_defaults_gets_the_zone_too() -> None:
    text = "kind: Schedule\nspec: {report: x, template: nightly}\n"
    spec = merged(text, TEMPLATE, POLICY).data["spec"]
    assert spec["when"] == {
        "cron": "0 4 * * *",
        "calendar": "bank",
        "timezone": "Europe/Berlin",
    }


def test_each_value_that_is_laid_together_has_a_place() -> None:
    found = merged(SCHEDULE, TEMPLATE, POLICY)
    when, retry = ("spec", "when"), ("spec", "execution", "retry")
    assert found.range(when).filename == "s.yaml"
    assert found.key_range((*when, "timezone")).start.column == 24
    assert found.key_range((*retry, "max_retries")).filename == "t.yaml"
    assert found.part(("spec", "execution", "deadline")) is None
    assert found.part(("spec", "deliver_to", 1)) is None
    assert found.range(("spec", "deliver_to", 1)).filename == "s.yaml"


def test_a_file_is_named_by_what_names_it() -> None:
    found = merged(SCHEDULE, TEMPLATE, POLICY)
    assert found.file(("spec", "deliver_to", 0)) == "s.yaml"
    assert found.file(("spec", "execution", "timeout")) == "t.yaml"
    assert found.file(("spec", "period")) == "s.yaml"


def test_a_zone_of_its_own_stays() -> None:
    text = "kind: Schedule\nspec: {when: {every: 1h, timezone: Asia/Tokyo}}\n"
    spec = merged(text, None, POLICY).data["spec"]
    assert spec["when"] == {"every": "1h", "timezone": "Asia/Tokyo"}


def test_without_template_and_policy_only_nulls_go() -> None:
    plain = document("s.yaml", "kind: Schedule\nspec: {report: x}\n")
    assert merged_schedule(plain, None, None) is plain
    nulls = "kind: Schedule\nspec: {report: x, burst: null, export: {password: null}}\n"
    assert merged(nulls, None, None).data["spec"] == {"report": "x", "export": {}}


def test_layers_of_the_wrong_shape_are_left_alone() -> None:
    odd = "kind: Schedule\nspec: [a]\n"
    assert merged(odd, TEMPLATE, POLICY).data["spec"] == ["a"]
    text = "kind: Schedule\nspec: {report: x, when: soon, execution: fast}\n"
    spec = merged(text, "kind: ScheduleTemplate\nspec: 5\n", POLICY).data["spec"]
    assert spec["when"] == "soon"
    assert spec["execution"] == "fast"
    assert merged(text, None, "kind: Policy\nspec: {defaults: no}\n").data["spec"] == {
        "report": "x",
        "when": "soon",
        "execution": "fast",
    }


def test_merging_changes_none_of_the_documents() -> None:
    template = document("t.yaml", TEMPLATE)
    before = repr(template.data)
    merged_schedule(document("s.yaml", SCHEDULE), template, None)
    assert repr(template.data) == before
