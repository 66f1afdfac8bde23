"""What a reviewer reads: lines that stay few, and a comment that fits and does no harm."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boe_reconciler.core.changes.compare import Terms, compare, compare_with_served
from boe_reconciler.core.changes.lines import sections, shown
from boe_reconciler.core.changes.markdown import markdown
from boe_reconciler.core.changes.review import Review, review, verdict
from boe_reconciler.core.changes.shapes import as_json
from boe_reconciler.core.snapshot import History
from tests.revisions import GOOD, NOW, Ledger, a_document, a_snapshot


def seen(
    before: dict[str, str] | None, after: dict[str, str], **options: Any
) -> Review:
    terms, head = Terms(now=NOW), a_snapshot(after)
    compared = (
        compare_with_served(None, head, terms)
        if before is None
        else compare(a_snapshot(before), head, terms)
    )
    return review(compared, now=NOW, days=30, **options)


def lines(found: Review, title: str) -> list[str]:
    return [
        f"{sign} {text}".rstrip()
        for section in sections(found)
        if section.title == title
        for sign, text in section.lines
    ]


def edited(path: str, old: str, new: str) -> dict[str, str]:
    assert old in GOOD[path]
    return {**GOOD, path: GOOD[path].replace(old, new)}


def with_schedules(count: int, spec: str = "") -> dict[str, str]:
    text = GOOD["schedules/daily.yaml"] + spec
    policy = a_document("Policy", "policy", "limits: {schedules_per_owner: 9999}")
    return {
        **GOOD,
        "policy.yaml": policy,
        **{
            f"schedules/s{number:04}.yaml": text.replace("daily", f"s{number:04}")
            for number in range(count)
        },
    }


def test_what_many_have_in_common_is_told_once() -> None:
    found = seen(with_schedules(0), with_schedules(32))
    assert [line[:14] for line in lines(found, "Objects")] == ["+ 32 Schedules"]
    paused = seen(with_schedules(32), with_schedules(32, "  paused: true\n"))
    assert lines(paused, "Objects") == [
        lines(paused, "Objects")[0],
        "      spec.paused: true (new)",
    ]
    assert lines(paused, "Objects")[0].startswith("~ 32 Schedules: s0000, s0001")
    assert lines(paused, "Objects")[0].endswith(" and 2 more")
    assert len(lines(paused, "Runs")) == 1


def test_long_changes_are_cut_and_counted() -> None:
    labels = ", ".join(f"label-{number:02}: x" for number in range(20))
    metadata = f"  owner: ops@example.com\n  labels: {{{labels}}}\n"
    path = "schedules/daily.yaml"
    before = edited(path, "  owner: ops@example.com\n", metadata)
    after = {**before, path: before[path].replace(": x", ": y")}
    told = lines(seen(before, after), "Objects")
    assert told[-1] == "      … 8 more fields"
    query = "|\n    " + "\n    ".join(f"select {n} as c{n} --" for n in range(30))
    base = edited("reports/sales.yaml", "select 1 as one", query)
    head = {**base, "reports/sales.yaml": base["reports/sales.yaml"].replace("--", "")}
    told = lines(seen(base, head), "Objects")
    assert "      spec.query: its text" in told
    assert told[-1].startswith("        … ")
    assert told[-1].endswith(" more lines")


def test_a_text_that_comes_or_goes_is_told_in_short() -> None:
    text = "|\n    one\n    two"
    titled = edited("reports/sales.yaml", "  query", f"  description: {text}\n  query")
    assert lines(seen(GOOD, titled), "Not taken up")  # There is no such field.
    report = a_document("Report", "sales", "connection: db\nquery_file: q.sql")
    files = {**GOOD, "reports/sales.yaml": report, "reports/q.sql": "select 1\n"}
    assert "      reports/q.sql: a new file" in lines(seen(GOOD, files), "Objects")
    told = lines(seen(files, GOOD), "Objects")
    assert "      reports/q.sql: no longer used" in told


def test_what_differs_in_a_secret_is_told_without_it() -> None:
    target = "{type: webhook, url: https://hooks.example.com/T0/%s}"
    path = "distributions/archive.yaml"
    before, after = (
        {**GOOD, path: GOOD[path].replace("[{", f"[{target % secret}, {{")}
        for secret in ("aaaaaaaaaaaaaaaa1", "bbbbbbbbbbbbbbbb2")
    )
    found = seen(before, after)
    for text in (markdown(found), str(as_json(found)), *lines(found, "Objects")):
        assert "aaaaaaaaaaaa" not in text
        assert "bbbbbbbbbbbb" not in text


def test_a_schedule_that_runs_never_again_is_told() -> None:
    once = edited(
        "schedules/daily.yaml",
        '{cron: "30 6 * * *", timezone: UTC}',
        "{once: ['2020-01-01T00:00:00Z'], timezone: UTC}",
    )
    assert lines(seen(None, once), "Next runs") == ["  daily  never again"]


def test_an_object_that_only_moved_to_another_file_has_a_quiet_line() -> None:
    moved = dict(GOOD)
    moved["schedules/team/daily.yaml"] = moved.pop("schedules/daily.yaml")
    found = seen(GOOD, moved)
    assert verdict(found) == ["No changes."]
    assert lines(found, "Moved to another file") == [
        "  Schedule daily: schedules/daily.yaml → schedules/team/daily.yaml"
    ]
    assert as_json(found)["moves"] == [
        {
            "kind": "Schedule",
            "name": "daily",
            "before": "schedules/daily.yaml",
            "after": "schedules/team/daily.yaml",
        }
    ]


def test_a_rename_keeps_its_runs_and_its_recipients() -> None:
    renamed = dict(GOOD)
    renamed["schedules/new.yaml"] = renamed.pop("schedules/daily.yaml").replace(
        "name: daily\n", "name: new\n  renamed_from: daily\n"
    )
    found = seen(GOOD, renamed)
    [change] = as_json(found)["changes"]
    assert (change["action"], change["renamed_from"]) == ("update", "daily")
    assert verdict(found) == ["1 to change."]
    policy = a_document("Policy", "one", "limits: {schedules_per_owner: 5}")
    before = {**GOOD, "policy.yaml": policy}
    after = {**GOOD, "policy.yaml": policy.replace("name: one", "name: other")}
    [change] = seen(before, after).found.changes
    assert (change.kind, change.renamed_from) == ("Policy", "one")


def test_a_second_way_to_the_same_folder_is_no_new_recipient() -> None:
    inline = edited(
        "schedules/daily.yaml",
        "[archive]",
        "[archive, {type: local, base_path: exports, filename_pattern: 'b_{date}.csv'}]",
    )
    found = seen(GOOD, inline)
    assert not found.found.deliveries.gained
    [line] = lines(found, "Files")
    assert re.fullmatch(r"\+ daily: 2026/11/24/b_2026-11-24\.csv \(to exports\)", line)
    [line] = lines(seen(inline, GOOD), "Files")
    assert line.startswith("- daily: 2026/11/24/b_2026-11-24.csv")


def test_next_deliveries_name_who_gets_what() -> None:
    hook = "{type: webhook, url: 'https://x.example/'}"
    both = edited("schedules/daily.yaml", "[archive]", f"[archive, {hook}]")
    both["schedules/idle.yaml"] = GOOD["schedules/daily.yaml"].replace(
        "name: daily", "name: idle"
    )
    both["schedules/idle.yaml"] += "  paused: true\n"
    assert lines(seen(None, both, expand=True), "Next deliveries") == [
        "  daily, Tue 2026-11-24 06:30 UTC",
        "      exports (archive/local): 2026/11/24/Sales_2026-11-24.xlsx",
        "      https://x.example (webhook): a message about the run",
        "  idle, paused",
        "      exports (archive/local): 2026/11/24/Sales_2026-11-24.xlsx",
    ]


def test_more_new_places_than_a_sentence_holds_are_cut() -> None:
    targets = ", ".join(
        f"{{type: local, name: n{n}, base_path: f{n}}}" for n in range(5)
    )
    found = seen(
        GOOD, edited("schedules/daily.yaml", "[archive]", f"[archive, {targets}]")
    )
    assert "5 gained; for the first time to folder f0, folder f1, folder f2, …." in (
        " ".join(verdict(found))
    )


def test_problems_that_were_there_are_counted_and_new_ones_are_told() -> None:
    noisy = edited("schedules/daily.yaml", 'cron: "30 6 * * *"', 'cron: "*/7 * * * *"')
    found = seen(noisy, {**noisy, "reports/x.yaml": GOOD["reports/sales.yaml"]})
    assert [problem.severity for problem in found.problems] == ["error", "error"]
    assert verdict(found)[-1] == "1 warning was there before."
    ledger = Ledger()
    ledger.step(noisy)
    terms = Terms(now=NOW, read_blob=ledger.read)
    compared = compare_with_served(ledger.served, a_snapshot(noisy), terms)
    assert review(compared, now=NOW, days=1).problems == []


# --- Markdown ---------------------------------------------------------------------


def test_a_comment_fits_however_much_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("boe_reconciler.core.changes.markdown._SECTION", 1_500)
    before, after = dict(GOOD), dict(GOOD)
    text = GOOD["schedules/daily.yaml"]
    policy = a_document("Policy", "policy", "limits: {schedules_per_owner: 9999}")
    for number in range(30):
        name = f"a-rather-long-name-of-a-schedule-{number}"
        path = f"schedules/{name}.yaml"
        before[path] = text.replace("name: daily", f"name: {name}")
        after[path] = before[path].replace("30 6", f"{number % 60} {number % 24}")
    before["policy.yaml"] = after["policy.yaml"] = policy
    found = markdown(seen(before, after, expand=True), again="boe plan --base main")
    assert len(found.encode()) < 12_000
    assert found.count("<details") == found.count("</details>") > 3
    assert "more lines" in found
    assert found == markdown(
        seen(before, after, expand=True), again="boe plan --base main"
    )


def test_many_problems_are_cut_and_counted() -> None:
    bad = {f"reports/r{n}.yaml": GOOD["reports/sales.yaml"] for n in range(60)}
    found = markdown(seen(GOOD, {**GOOD, **bad}))
    assert "Problems (61)" in found
    assert "… 11 more: boe validate" in found


def test_whole_sections_are_left_out_where_there_is_no_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("boe_reconciler.core.changes.markdown.LIMIT", 900)
    found = markdown(seen(None, GOOD), again="boe plan `x`")
    assert found.count("<details") == found.count("</details>") == 1
    assert re.search(r"1 more section: run `` boe plan `x` ``\.", found)


TEXTS = st.text(alphabet="`<>&@|*_[]()#!~\\ \n\r\t\u202e\x1bax/:", max_size=30)


@given(TEXTS)
def test_nothing_that_somebody_wrote_leaves_its_block(text: str) -> None:
    """Outside of code there is nothing but words of ours."""
    subject = f"x{text}"
    path = "distributions/archive.yaml"
    target = f"{{type: local, base_path: exports, name: {ascii_yaml(subject)}}}"
    head = {
        **GOOD,
        path: a_document("Distribution", "archive", f"destinations: [{target}]"),
    }
    head["schedules/x.yaml"] = (
        f"kind: Schedule\nmetadata: {{name: {ascii_yaml(subject)}}}\n"
    )
    outside = []
    fence = ""
    for line in markdown(seen(GOOD, head)).split("\n"):
        ticks = re.match("`{3,}", line)
        if fence:
            fence = "" if line == fence else fence
        elif ticks:
            fence = ticks[0]
        else:
            outside.append(re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", "", line))
    assert fence == ""
    assert not re.search(r"[@|*\[\]\\]|<(?!/?details|/?summary)", "\n".join(outside))


def ascii_yaml(text: str) -> str:
    return '"' + "".join(f"\\u{ord(each):04x}" for each in text) + '"'


def test_what_would_steer_a_terminal_is_not_shown() -> None:
    assert shown("a\x1b[31m\u202eb\u2028ä") == "a?[31m?b?ä"


# --- Where the two sides do not follow each other ---------------------------------


@pytest.mark.parametrize("holds", [False, True])
def test_a_head_that_lacks_commits_of_its_base_is_told(holds: bool) -> None:
    policy = f"hold_rewritten_history: {str(holds).lower()}"
    files = {**GOOD, "policy.yaml": a_document("Policy", "policy", policy)}
    elsewhere = History(descends=False, allow_removals=0)
    head = replace(a_snapshot(files), since=lambda _: elsewhere)
    found = review(compare(a_snapshot(files), head, Terms(now=NOW)), now=NOW, days=1)
    told = verdict(found)[-1]
    assert told.startswith("The head lacks commits of the base")
    assert ("would hold it" in told) is holds
    assert as_json(found)["descends"] is False


def test_json_has_all_that_text_has() -> None:
    wrong = GOOD["schedules/daily.yaml"].replace("sales", "none")
    bad = {**GOOD, "schedules/bad.yaml": wrong.replace("name: daily", "name: bad")}
    named = GOOD["schedules/daily.yaml"] + "  export: {format: csv}\n"
    found = as_json(seen(bad, {**bad, "schedules/daily.yaml": named}, expand=True))
    assert found["not_taken_up"][0]["reason"] == "Invalid"
    assert found["not_known"] == found["not_taken_up"]
    assert found["files"] == [
        {
            "schedule": "daily",
            "before": "2026/11/24/Sales_2026-11-24.xlsx",
            "after": "2026/11/24/Sales_2026-11-24.csv",
            "recipients": ["exports"],
        }
    ]
    [delivery] = found["deliveries"]
    assert (delivery["recipient"], delivery["type"]) == ("exports", "local")
    assert delivery["files"] == ["2026/11/24/Sales_2026-11-24.csv"]


def test_of_a_huge_text_no_lines_are_compared() -> None:
    report = a_document("Report", "sales", "connection: db\nquery_file: q.sql")
    files = {**GOOD, "reports/sales.yaml": report}
    long = "select 1\n" * 30_000
    before, after = ({**files, "reports/q.sql": text} for text in ("select 1", long))
    told = lines(seen(before, after), "Objects")
    assert "      reports/q.sql: other bytes" in told
    assert not any("@@" in line for line in told)


@pytest.mark.parametrize(
    ("cron", "told"),
    [
        ("0 8 * * *", "A change window is open: merged now, it is served at once."),
        (
            "0 14 * * *",
            "It will wait for the next change window, which opens Mon 2026-11-23 14:00 UTC.",
        ),
    ],
)
def test_when_a_change_is_served_is_told(cron: str, told: str) -> None:
    """By the Policy of the base: the change itself does not count."""
    windows = f"change_windows: [{{cron: {cron}, duration: 8h, timezone: UTC}}]"
    base = {**GOOD, "policy.yaml": a_document("Policy", "policy", windows)}
    head = edited("reports/sales.yaml", "select 1", "select 2")
    assert told in verdict(seen(base, head))
    assert not [one for one in verdict(seen(base, base)) if "window" in one]
    assert not [one for one in verdict(seen(GOOD, head | base)) if "window" in one]


def test_a_base_whose_windows_never_open_is_told() -> None:
    base = {**GOOD, "policy.yaml": a_document("Policy", "policy", "{}")}
    found = seen(base, edited("reports/sales.yaml", "select 1", "select 2"))
    assert found.comparison.before
    never = {"cron": "0 0 30 2 *", "duration": "1h", "timezone": "UTC"}
    policy = found.comparison.before.objects["Policy", "policy"]
    policy.data["spec"] = {"change_windows": [never]}  # type: ignore[index]
    assert "No change window ever opens: it will wait for a release." in verdict(found)
