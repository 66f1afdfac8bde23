"""`boe recipients`: all that somebody receives, and another address in their place."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Boe

SUPPRESSED = "No mail reaches it now: anna@example.com is on the suppression list"
REPO = {
    "policy.yaml": """\
apiVersion: boe/v1
kind: Policy
metadata: {name: policy}
spec:
  allow: {email_domains: [example.com]}
  defaults: {timezone: Europe/Berlin}
""",
    "groups/finance.yaml": """\
apiVersion: boe/v1
kind: Group
metadata: {name: finance}
spec:
  members:
    - Anna@Example.com   # the controller
    - {email: carl@example.com, until: 2019-12-31}
    - {email: tina@example.com, until: 2999-12-31}
  manager: "cfo@example.com"
""",
    "connections/all.yaml": """\
apiVersion: boe/v1
kind: Connection
metadata: {name: memory, owner: anna@example.com}
spec: {type: duckdb}
---
apiVersion: boe/v1
kind: Connection
metadata: {name: mail, owner: ops@example.com}
spec: {type: smtp, host: mail.internal, from: "Reports <anna@example.com>"}
""",
    "distributions/mail.yaml": """\
apiVersion: boe/v1
kind: Distribution
metadata: {name: team-mail, owner: finance}
spec:
  inputs:
    to: {type: emails, required: true}
    copy: {type: emails, default: "anna@example.com, cfo@example.com"}
    team: {type: string, default: anna}
  destinations:
    - type: email
      name: first
      connection: mail
      to: "{{ inputs.to }}"
      cc: ["{{ inputs.copy }}", {group: finance}]
      bcc: "{{ inputs.team }}@example.com"
      subject: Numbers
""",
    "schedules/daily.yaml": """\
apiVersion: boe/v1
kind: Schedule
metadata: {name: daily, owner: anna@example.com, description: "Ask anna@example.com first"}
spec:
  report: {connection: memory, query: select 1 as one}
  when: {frequency: daily, at: "06:30"}
  notify: [finance, ops@example.com]
  deliver_to:
    - {distribution: team-mail, as: mails, inputs: {to: ['anna@example.com', vera@example.com]}}
    - {type: email, connection: mail, to: joanna@example.com, subject: x}
""",
    "schedules/burst.yaml": """\
apiVersion: boe/v1
kind: Schedule
metadata: {name: burst, owner: finance}
spec:
  report: {connection: memory, query: select 1 as region}
  when: {frequency: daily, at: "06:30"}
  burst: {recipients_file: heads.csv, split_on: region}
  deliver_to:
    - {type: email, connection: mail, to: "{{ part.to }}", subject: x}
""",
    "schedules/heads.csv": """\
region,to
"North, far",anna@example.com
South,"bob@example.com,ANNA@example.com"
""",
    "schedules/asked.yaml": """\
apiVersion: boe/v1
kind: Schedule
metadata: {name: asked, owner: finance}
spec:
  report: {connection: memory, query: select 1 as region}
  when: {frequency: daily, at: "06:30"}
  burst: {recipients_query: select 1 as region, split_on: region}
  deliver_to:
    - {type: email, connection: mail, to: "{{ part.to }}", subject: x}
""",
}
ANNA, BOB = "anna@example.com", "bob@example.com"


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    for name, text in REPO.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def without_the_template(repo: Path) -> None:
    file = repo / "distributions/mail.yaml"
    text = file.read_text().replace('"{{ inputs.team }}@example.com"', "x@example.com")
    file.write_text(text)


def files(repo: Path) -> dict[str, bytes]:
    found = (path for path in repo.rglob("*") if path.is_file())
    return {str(path.relative_to(repo)): path.read_bytes() for path in found}


def test_all_that_somebody_receives_is_listed_at_its_line(repo: Path, boe: Boe) -> None:
    said = boe(repo, "recipients", ANNA, "--format", "json")
    assert said.code == 0
    got = {
        (
            one["name"],
            one["destination"],
            one["as"],
            *one["through"],
            one["file"],
            one["line"],
        )
        for one in said.json["receives"]
    }
    through = "Distribution team-mail"
    assert got == {
        ("daily", "mails/first", "to", through, "input to", "schedules/daily.yaml", 9),
        (
            "daily",
            "mails/first",
            "cc",
            through,
            "input copy",
            "distributions/mail.yaml",
            7,
        ),
        (
            "daily",
            "mails/first",
            "cc",
            through,
            "Group finance",
            "groups/finance.yaml",
            6,
        ),
        (
            "daily",
            "mails/first",
            "bcc",
            through,
            "a template",
            "distributions/mail.yaml",
            15,
        ),
        ("burst", "email", "to", "heads.csv", "schedules/heads.csv", 2),
        ("burst", "email", "to", "heads.csv", "schedules/heads.csv", 3),
    }


def test_so_is_all_that_they_are_beside(repo: Path, boe: Boe) -> None:
    also = boe(repo, "recipients", ANNA, "--format", "json").json["also"]
    got = {(one["as"], one["kind"], one["name"], one["line"]) for one in also}
    assert got == {
        ("member", "Group", "finance", 6),
        ("owner", "Connection", "memory", 3),
        ("from", "Connection", "mail", 9),
        ("default", "Distribution", "team-mail", 7),
        ("owner", "Schedule", "daily", 3),
        ("notify", "Schedule", "daily", 6),
        ("mentioned", "Schedule", "daily", 3),
    }


def test_the_text_says_the_same_for_people(repo: Path, boe: Boe) -> None:
    said = boe(repo, "recipients", ANNA)
    assert said.code == 0
    assert "mails/first" in said.out
    assert "Distribution team-mail > input to" in said.out
    assert "schedules/daily.yaml:9:59" in said.out
    assert "known only as they run" in said.out
    assert "asked     email" in said.out


def test_who_has_left_a_group_receives_nothing_through_it(repo: Path, boe: Boe) -> None:
    found = boe(repo, "recipients", "carl@example.com", "--format", "json").json
    assert found["receives"] == []
    assert [(one["as"], one["until"]) for one in found["also"]] == [
        ("member", "2019-12-31")
    ]
    tina = boe(repo, "recipients", "tina@example.com", "--format", "json").json
    assert [one["until"] for one in tina["receives"]] == ["2999-12-31"]


def test_an_address_is_not_found_in_a_longer_one(repo: Path, boe: Boe) -> None:
    found = boe(repo, "recipients", "joanna@example.com", "--format", "json").json
    assert [one["name"] for one in found["receives"]] == ["daily"]


def test_capitals_and_the_ascii_form_of_a_domain_do_not_count(
    tmp_path: Path, boe: Boe
) -> None:
    (tmp_path / "groups").mkdir()
    text = "apiVersion: boe/v1\nkind: Group\nmetadata: {name: x}\nspec: {members: [jo@Exämple.de]}\n"
    (tmp_path / "groups/x.yaml").write_text(text)
    for address in ("JO@exämple.de", "jo@xn--exmple-cua.de"):
        assert (
            len(boe(tmp_path, "recipients", address, "--format", "json").json["also"])
            == 1
        )


def test_who_receives_nothing_is_told_so(repo: Path, boe: Boe) -> None:
    said = boe(repo, "recipients", "ana@example.com")
    assert said.code == 0
    assert "Nothing is sent to ana@example.com" in said.out
    assert 'Did you mean "anna@example.com"?' in said.out
    assert boe(repo, "recipients", "anna").code == 1


def test_a_file_that_cannot_be_read_is_named(repo: Path, boe: Boe) -> None:
    (repo / "groups/x.yaml").write_text("kind: [\n")
    said = boe(repo, "recipients", ANNA)
    assert said.code == 0
    assert "groups/x.yaml" in said.err
    before = files(repo)
    assert boe(repo, "recipients", ANNA, "--replace-with", BOB).code == 1
    assert files(repo) == before


# --- --replace-with -------------------------------------------------------------


def test_nothing_but_the_address_changes(repo: Path, boe: Boe) -> None:
    without_the_template(repo)
    group = repo / "groups/finance.yaml"
    group.write_bytes(b"\xef\xbb\xbf" + group.read_bytes().replace(b"\n", b"\r\n"))
    group.chmod(0o640)
    before = files(repo)
    said = boe(repo, "recipients", ANNA, "--replace-with", "dora@example.com")
    assert said.code == 0, said.err
    changed = {path for path, content in files(repo).items() if content != before[path]}
    assert changed == {
        "groups/finance.yaml",
        "connections/all.yaml",
        "distributions/mail.yaml",
        "schedules/daily.yaml",
        "schedules/heads.csv",
    }
    for path, content in files(repo).items():
        expected = before[path]
        for old in (b"Anna@Example.com", b"ANNA@example.com", b"anna@example.com"):
            expected = expected.replace(b"jo" + old, b"JO").replace(
                b"Ask " + old, b"ASK"
            )
            expected = expected.replace(old, b"dora@example.com")
        expected = expected.replace(b"JO", b"joanna@example.com")
        assert content == expected.replace(b"ASK", b"Ask anna@example.com"), path
    assert group.stat().st_mode & 0o777 == 0o640
    assert "groups/finance.yaml" in said.out
    assert "- Anna@Example.com   # the controller" in said.out
    again = boe(repo, "recipients", ANNA, "--format", "json").json
    assert again["receives"] == []
    assert [one["as"] for one in again["also"]] == ["mentioned"]


def test_who_is_there_twice_afterwards_is_told(tmp_path: Path, boe: Boe) -> None:
    (tmp_path / "groups").mkdir()
    head = "apiVersion: boe/v1\nkind: Group\nmetadata: {name: x}\n"
    (tmp_path / "groups/x.yaml").write_text(
        f"{head}spec: {{members: [{ANNA}, {BOB}]}}\n"
    )
    said = boe(tmp_path, "recipients", ANNA, "--replace-with", BOB)
    assert said.code == 0
    assert "is so twice: groups/x.yaml:4:18, groups/x.yaml:4:35" in said.out
    assert boe(tmp_path, "recipients", BOB, "--dry-run").code == 1


def test_an_alias_is_not_edited(tmp_path: Path, boe: Boe) -> None:
    (tmp_path / "groups").mkdir()
    head = f"apiVersion: boe/v1\nkind: Group\nmetadata: {{name: x, description: &a {ANNA}}}\n"
    (tmp_path / "groups/x.yaml").write_text(f"{head}spec: {{members: [*a]}}\n")
    said = boe(tmp_path, "recipients", ANNA, "--replace-with", BOB)
    assert said.code == 1
    assert (
        "groups/x.yaml:4:18: an alias or an escape stands for anna@example.com"
        in said.err
    )


def test_a_dry_run_writes_nothing(repo: Path, boe: Boe) -> None:
    without_the_template(repo)
    before = files(repo)
    said = boe(
        repo, "recipients", ANNA, "--replace-with", BOB, "--dry-run", "--format", "json"
    )
    assert said.code == 0
    assert said.json["written"] is False
    assert len(said.json["edits"]) == 8
    assert files(repo) == before


@pytest.mark.parametrize(
    ("new", "told"),
    [
        (BOB, "a template makes anna@example.com"),
        ("bob", "is not an e-mail address"),
        ("anna@example.com", "a template makes"),
    ],
)
def test_what_only_a_template_makes_stops_all_of_it(
    repo: Path, boe: Boe, new: str, told: str
) -> None:
    before = files(repo)
    said = boe(repo, "recipients", ANNA, "--replace-with", new)
    assert (said.code, told in said.err) == ((1, True) if new != ANNA else (0, False))
    if new != ANNA:
        assert files(repo) == before


@pytest.mark.parametrize(
    ("new", "told"),
    [
        ("bob@elsewhere.org", "elsewhere.org"),
        ("o'neill@example.com", "BOE"),
    ],
)
def test_what_would_be_a_new_mistake_is_not_written(
    repo: Path, boe: Boe, new: str, told: str
) -> None:
    without_the_template(repo)
    before = files(repo)
    said = boe(repo, "recipients", ANNA, "--replace-with", new)
    assert said.code == 1
    assert told in said.err
    assert "Nothing was written" in said.err
    assert files(repo) == before


def test_who_is_not_there_cannot_be_replaced(repo: Path, boe: Boe) -> None:
    said = boe(repo, "recipients", "nobody@example.com", "--replace-with", BOB)
    assert said.code == 1
    assert "not used here" in said.err


def test_whoever_is_on_the_suppression_list_is_told_so(repo: Path, boe: Boe) -> None:
    asked = ("recipients", "anna@example.com")
    assert SUPPRESSED not in boe(repo, *asked).out
    boe(repo, "suppress", "anna@example.com", "--why", "she left")
    said = boe(repo, *asked).out
    assert said.startswith(SUPPRESSED)
    assert "anna@example.com receives:" in said
    told = json.loads(boe(repo, *asked, "--format", "json").out)["suppressed"]
    assert "She left." in told
