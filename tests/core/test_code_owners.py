"""Whether who owns an object also reviews its file, by CODEOWNERS."""

from __future__ import annotations

import os
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boe_reconciler.core.changes.compare import Terms, compare
from boe_reconciler.core.changes.review import review
from boe_reconciler.core.errors import InputError
from boe_reconciler.core.plan import Plan, PlanCache, make_plan
from boe_reconciler.core.plan.code_owners import CodeOwners, expression, rules
from tests.revisions import GOOD, NOW, Ledger, a_document, a_snapshot, plan_of

# --- Which files a line means ---------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "files", "others"),
    [
        ("*", "a.yaml schedules/a.yaml .x", ""),
        ("**", "a.yaml schedules/a.yaml", ""),
        ("*.sql", "a.sql reports/deep/a.sql", "a.sqlx reports/a.yaml"),
        ("/*.sql", "a.sql", "reports/a.sql"),
        ("/schedules/", "schedules/a.yaml schedules/x/y", "x/schedules/a schedules"),
        ("schedules/", "schedules/a.yaml x/schedules/a", "schedules"),
        ("/schedules", "schedules schedules/x/y", "x/schedules"),
        ("apps", "apps apps/x a/apps/b", "apps2 apps2/x"),
        ("docs/*", "docs/a.md", "docs/x/b.md x/docs/a.md"),
        ("docs/*.md", "docs/a.md", "docs/x/b.md x/docs/a.md"),
        ("docs/*/", "docs/a/b docs/a/b/c", "docs/a"),
        ("docs/**", "docs/a docs/x/b", "docs x/docs/a"),
        ("docs/**/", "docs/a docs/x/b", "docs"),
        ("**/logs", "logs logs/a x/y/logs/b", "xlogs"),
        ("a/**/b/**/c", "a/b/c a/x/b/y/z/c a/b/b/c/d", "a/c b/c x/a/b/c"),
        ("a/**/**/b", "a/b a/x/y/b", "ab"),
        ("x-*-*.y?", "x-1-2.yz x--.y1 x-a-b-c.yz", "x-1.yz x-1-2.y x-1/2-3.yz"),
        (r"two\ words/", "two words/a", "two/a"),
        (r"a[1].sql", "a[1].sql", "a1.sql"),
        (r"\*.sql", "*.sql x/*.sql", "a.sql"),
        (r"a\\b", r"a\b", "ab"),
        ("/", "", "a a/b"),
        ("", "", "a a/b"),
    ],
)
def test_a_pattern_means_these_files_and_no_others(
    pattern: str, files: str, others: str
) -> None:
    found = expression(pattern)
    named = [files] if " " in pattern else files.split()
    assert [file for file in named if not found.fullmatch(file)] == []
    assert [file for file in others.split() if found.fullmatch(file)] == []


_NAMES = st.text("ab.", min_size=1, max_size=2).filter(lambda one: one.strip("."))
_STEPS = st.one_of(_NAMES, st.text("ab*?", min_size=2, max_size=4), st.just("**"))
PATTERNS = st.builds(
    lambda steps, begin, end: begin + "/".join(steps) + end,
    st.lists(_STEPS, min_size=1, max_size=4),
    st.sampled_from(["", "/"]),
    st.sampled_from(["", "", "/"]),
).filter(
    # What CODEOWNERS means otherwise: a last star reaches into no folder.
    lambda one: (
        one.rstrip("/").rpartition("/")[2] not in ("*", "**") and "***" not in one
    )
)


@settings(max_examples=25, deadline=None)
@given(
    pattern=PATTERNS,
    paths=st.sets(
        st.lists(_NAMES, min_size=1, max_size=4).map("/".join), min_size=8, max_size=40
    ),
)
def test_patterns_are_those_of_git(
    tmp_path_factory: pytest.TempPathFactory, pattern: str, paths: set[str]
) -> None:
    folder = _git_folder(tmp_path_factory)
    (folder / ".gitignore").write_text(f"{pattern}\n")
    done = subprocess.run(
        ["git", "check-ignore", "--no-index", "-z", "--stdin"],
        cwd=folder,
        input="\0".join(paths).encode(),
        capture_output=True,
        check=False,
        env={**os.environ, "GIT_CONFIG_GLOBAL": os.devnull},
    )
    assert done.returncode < 2, done.stderr
    ignored = set(done.stdout.decode().split("\0")) - {""}
    found = expression(pattern)
    assert {path for path in paths if found.fullmatch(path)} == ignored


def _git_folder(factory: pytest.TempPathFactory) -> Path:
    folder = factory.getbasetemp() / "ignoring"
    if not folder.exists():
        folder.mkdir()
        subprocess.run(["git", "init", "--quiet", str(folder)], check=True)
    return folder


def test_no_pattern_takes_long() -> None:
    begin = time.process_time()
    for pattern in ("*a" * 400 + "b", "**/*a*/" * 200 + "b", "?*" * 400 + "b"):
        assert not expression(pattern).fullmatch("a/" * 50 + "a" * 900)
    assert time.process_time() - begin < 1


# --- Which line counts ----------------------------------------------------------------

SECTIONS = """\
# of all
* @all
/docs/ @docs a@example.com  # and nobody else
/docs/secret/

[Finance][2] @org/finance
/schedules/
/schedules/own/ @@developers @ben word
!/schedules/none/
^[Optional]
*.sql @dba
[FINANCE] @cfo
/reports/
[no section
"""


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("a.yaml", {2: "@all"}),
        ("docs/a", {3: "@docs a@example.com"}),
        ("docs/secret/a", {}),
        ("schedules/a.yaml", {2: "@all", 7: "@org/finance"}),
        ("schedules/own/a.yaml", {2: "@all", 8: "@@developers @ben"}),
        ("schedules/none/a.yaml", {2: "@all"}),
        ("reports/a.sql", {2: "@all", 11: "@dba", 13: "@cfo"}),
    ],
)
def test_the_last_line_that_fits_counts_in_each_section(
    file: str, expected: dict[int, str]
) -> None:
    found = CodeOwners("CODEOWNERS", None, list(rules(SECTIONS)))
    assert {one.line: " ".join(one.owners) for one in found.of(file)} == expected


# --- Who is meant ---------------------------------------------------------------------

ASKING = a_document("Policy", "policy", "codeowners: true")
GROUP = a_document(
    "Group",
    "finance",
    "members: [anna@example.com, {email: gone@example.com, until: 2026-11-22}]",
)


def owned_by(owner: str, owners: str, **more: str) -> dict[str, Any]:
    text = GOOD["schedules/daily.yaml"].replace("ops@example.com", owner)
    return {
        **GOOD,
        "schedules/daily.yaml": text,
        "policy.yaml": ASKING,
        "groups/finance.yaml": GROUP,
        "CODEOWNERS": f"* ops@example.com\n/schedules/ {owners}\n",
        **more,
    }


def told(plan: Plan) -> list[str]:
    return [str(problem) for problem in plan.problems]


@pytest.mark.parametrize(
    ("owner", "owners"),
    [
        ("anna@example.com", "anna@example.com"),
        ("anna@example.com", "@someone Anna@Example.com"),
        ("finance", "@finance"),
        ("finance", "@Our-Org/Finance"),
        ("finance", "@a/b/finance"),
        ("finance", "anna@example.com"),
        ("anna@example.com", "@org/finance"),
    ],
)
def test_an_owner_is_a_code_owner_by_address_or_group(owner: str, owners: str) -> None:
    assert told(plan_of(owned_by(owner, owners))) == []


@pytest.mark.parametrize(
    ("owner", "owners"),
    [
        ("anna@example.com", "ben@example.com"),
        ("anna@example.com", "@anna"),
        ("anna@example.com", "@@developers"),
        ("anna@example.com", "@finance/people"),
        ("gone@example.com", "@finance"),
        ("finance", "gone@example.com"),
        ("finance", "@org/ops"),
    ],
)
def test_others_are_not(owner: str, owners: str) -> None:
    (found,) = told(plan_of(owned_by(owner, owners)))
    assert found.startswith("schedules/daily.yaml:5:10: error BOE157")
    assert f"{owner} is no code owner of schedules/daily.yaml" in found
    assert f"CODEOWNERS:2 names {owners} (codeowners, policy.yaml:6)" in found


def test_a_group_that_is_not_there_is_told_once() -> None:
    (found,) = told(plan_of(owned_by("nobody", "@org/ops")))
    assert "BOE100" in found


def test_a_group_that_cannot_be_read_is_waited_for_and_not_guessed() -> None:
    broken = GROUP.replace("members: [", "members: [[")
    for text in (broken, GROUP.replace("members:", "member:")):
        plan = plan_of(
            owned_by("anna@example.com", "@finance", **{"groups/finance.yaml": text})
        )
        assert {one.range.filename for one in plan.problems} == {"groups/finance.yaml"}
        (status,) = [one for one in plan.statuses if one.name == "daily"]
        assert status.reason == "DependencyInvalid"


@pytest.mark.parametrize(
    ("files", "unreadable", "why"),
    [
        ({}, {}, "there is no CODEOWNERS"),
        ({"CODEOWNERS": "* @all\n/schedules/"}, {}, "CODEOWNERS names nobody for"),
        ({"CODEOWNERS": "#" * 3_000_001}, {}, "has more than 3,000,000 bytes"),
        ({}, {"docs/CODEOWNERS": "it is a link"}, "cannot be read: it is a link"),
    ],
)
def test_a_file_without_code_owners_is_told(
    files: dict[str, str], unreadable: dict[str, str], why: str
) -> None:
    good = {**GOOD, "policy.yaml": ASKING, **files}
    plan = plan_of(good, unreadable=unreadable)
    found = next(one for one in told(plan) if "daily" in one)
    assert found.startswith("schedules/daily.yaml:5:10: error BOE158")
    assert why in found


def test_what_has_no_owner_needs_code_owners_all_the_same() -> None:
    files = {**GOOD, "policy.yaml": ASKING}
    owners = "* ops@example.com\npolicy.yaml\n"
    (found,) = told(plan_of({**files, "CODEOWNERS": owners}))
    assert found.startswith("policy.yaml:4:9: error BOE158")
    assert told(plan_of({**files, "CODEOWNERS": owners + "policy.yaml @cfo"})) == []


def test_code_owners_that_change_while_they_are_read_are_told_and_tried_again() -> None:
    files = {**GOOD, "policy.yaml": ASKING, "CODEOWNERS": "* ops@example.com"}
    whole, cache = a_snapshot(files), PlanCache()

    def lose(path: str) -> bytes:
        if path == "CODEOWNERS":
            raise InputError("CODEOWNERS changed while it was being read.")
        return whole.read(path)

    plans = [
        make_plan(replace(whole, read=read), served=None, now=NOW, cache=cache)
        for read in (lose, whole.read)
    ]
    assert "CODEOWNERS changed while it was being read, and" in told(plans[0])[0]
    assert told(plans[1]) == []


def test_nobody_is_asked_where_the_policy_does_not_ask() -> None:
    files = {**GOOD, "CODEOWNERS": "* @nobody"}
    assert told(plan_of(files, unreadable={"docs/CODEOWNERS": "it is a link"})) == []


def test_of_several_the_first_is_read() -> None:
    files = {**GOOD, "policy.yaml": ASKING, "CODEOWNERS": "* @nobody"}
    assert len(told(plan_of(files))) == 4
    assert told(plan_of({**files, ".github/CODEOWNERS": "* ops@example.com"})) == []
    elsewhere = {"docs/CODEOWNERS": "* ops@example.com"}
    assert len(told(plan_of({**files, **elsewhere}))) == 4


# --- From revision to revision --------------------------------------------------------


def test_a_change_of_codeowners_alone_is_told_and_takes_nothing_away() -> None:
    ledger, cache = Ledger(), PlanCache()
    files = owned_by("anna@example.com", "@finance")
    ledger.step(files, cache=cache)
    changed = {**files, "CODEOWNERS": files["CODEOWNERS"] + "/schedules/ @ops\n"}
    plan = ledger.step(changed, cache=cache)
    (found,) = told(plan)
    assert "BOE157" in found
    assert "CODEOWNERS:3 names @ops" in found
    assert set(plan.schedules) == {"daily"}
    (status,) = [one for one in plan.statuses if not one.ready]
    assert (status.name, status.reason) == ("daily", "Invalid")
    assert told(ledger.step(files, cache=cache)) == []
    assert {one.name for one in plan.statuses} == {one[1] for one in plan.objects}


def test_a_member_who_leaves_a_group_is_no_code_owner_by_it_any_more() -> None:
    ledger, cache = Ledger(), PlanCache()
    files = owned_by("anna@example.com", "@finance")
    ledger.step(files, cache=cache)
    left = {**files, "groups/finance.yaml": GROUP.replace("anna@", "ben@")}
    assert ["BOE157" in one for one in told(ledger.step(left, cache=cache))] == [True]


def test_a_change_that_takes_the_question_away_is_judged_by_it() -> None:
    ledger = Ledger()
    files = owned_by("anna@example.com", "@finance")
    ledger.step(files)
    lax = {**files, "policy.yaml": a_document("Policy", "policy", "{}")}
    del lax["CODEOWNERS"]
    plan = ledger.step(lax)
    assert {one.code for one in plan.problems} == {"BOE158"}
    assert "as it is served" in told(plan)[0]
    assert set(plan.schedules) == {"daily"}


def test_a_plan_between_revisions_tells_what_codeowners_changes() -> None:
    files = owned_by("anna@example.com", "@finance")
    head = {**files, "CODEOWNERS": "* @ops\n"}
    found = review(
        compare(a_snapshot(files), a_snapshot(head), Terms(now=NOW)), now=NOW, days=30
    )
    assert {one.code for one in found.problems} == {"BOE157"}
    assert "daily" in {one.name for one in found.kept}
    assert found.found.changes == []


def test_what_is_remembered_is_what_is_found_anew() -> None:
    cache = PlanCache()
    first = owned_by("anna@example.com", "@finance")
    for owners in ("@finance", "@ops", "@finance", "", "ben@example.com"):
        files = {**first, "CODEOWNERS": f"* ops@example.com\n/schedules/ {owners}\n"}
        known = make_plan(a_snapshot(files), served=None, now=NOW, cache=cache)
        assert told(known) == told(plan_of(files))
