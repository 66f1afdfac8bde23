"""Credentials in plain text: found where they stand, and never shown."""

from __future__ import annotations

import json

import pytest

from boe_reconciler.core.changes import changes
from boe_reconciler.core.language.credentials import credentials, hidden
from tests.revisions import GOOD, NOW, a_document, plan_of, spot, unmarked

# Put together here, so that no scanner takes them for real ones.
LONG = "a1B2c3D4" * 6
PLANTED = {
    "a private key": "-----BEGIN " + "OPENSSH PRIVATE KEY-----",
    "an age key": "AGE-SECRET-" + "KEY-1" + LONG.upper(),
    "an AWS access key": "AK" + "IAABCDEFGHIJKLMNOP",
    "a GitHub token": "gh" + f"p_{LONG}",
    "a GitLab token": "glp" + f"at-{LONG[:20]}",
    "a Slack token": "xo" + f"xb-{LONG}",
    "a Slack webhook": "https://hooks.slack" + f".com/services/T1/B2/{LONG}",
    "a Google API key": "AI" + f"za{LONG[:35]}",
    "a Stripe key": "sk_" + f"live_{LONG}",
    "a SendGrid key": "S" + f"G.{LONG}.{LONG}",
    "a package registry's token": "np" + f"m_{LONG[:36]}",
    "a JSON Web Token": "ey" + f"J{LONG}.ey" + f"J{LONG}.{LONG}",
    "a bearer token": f"Bearer {LONG}",
    "a signature of a storage account": f"https://x.example/a?sv=1&sig={LONG}%3D",
    "a password in a URL": "postgres://ada:tops3cret@db/x",
    "a password": "host=db password=hunt3r2x sslmode=require",
}


@pytest.mark.parametrize("what", PLANTED)
def test_what_it_is_is_told_and_what_it_says_is_hidden(what: str) -> None:
    text = f"before {PLANTED[what]} after"
    (found,) = credentials(text)
    assert found.what == what
    secret = text[found.offset : found.offset + found.length]
    assert secret in PLANTED[what]
    assert hidden(text) == text.replace(secret, "***")
    assert hidden({"a": [text, 1]}) == {"a": [hidden(text), 1]}


@pytest.mark.parametrize(
    "text",
    [
        "select * from users where password = :password and pwd = '{{ pwd }}'",
        "where pwd = 'active' or api_key=disabled",
        "https://user@host/path, https://host:8443/a@b, ssh://git@host/x",
        "https://user:${TOKEN}@host, https://user:{{ x }}@host, https://u:<password>@h",
        "password=changeme1, password=xxxxxx1, password=example-1",
        "Authorization: Bearer {{ token }}",
        "sha256 " + "0f" * 32,
        "task-1234567890123456789012, ghp_short, AKIA",
        "the keyboard is eyJ and the SG.value",
    ],
)
def test_what_is_none_is_left_alone(text: str) -> None:
    assert list(credentials(text)) == []
    assert hidden(text) == text


def test_of_a_private_key_all_is_hidden() -> None:
    key = f"{PLANTED['a private key']}\n{LONG}\n-----END OPENSSH PRIVATE KEY-----"
    assert hidden(f"{key}\nafter") == "***\nafter"


def test_a_line_with_the_mark_is_left_alone() -> None:
    key = PLANTED["an AWS access key"]
    found = list(
        credentials(f"{key} # boe:not-a-secret\n{key}\n{key} -- boe:not-a-secret")
    )
    assert len(found) == 1


def test_of_two_that_overlap_one_is_told() -> None:
    text = f"https://x:{PLANTED['a GitHub token']}@host"
    assert [one.what for one in credentials(text)] == ["a GitHub token"]


# --- In a repo --------------------------------------------------------------------------

TOKEN = PLANTED["a GitHub token"]
PLACES: dict[str, dict[str, str]] = {
    "a query": {
        "reports/x.yaml": a_document(
            "Report",
            "x",
            f"connection: db\nquery: |\n  select\n   '⟦BOE156⟧{TOKEN}' as t",
        )
    },
    "a query file": {
        "reports/x.yaml": a_document(
            "Report", "x", "connection: db\nquery_file: x.sql"
        ),
        "reports/x.sql": f"select 1 as one\n-- ⟦BOE156⟧{TOKEN}\n",
    },
    "a header": {
        "connections/x.yaml": a_document(
            "Connection",
            "x",
            "type: webhook\nurl: https://example.com/a\n"
            f"headers: {{x-team: ⟦BOE156⟧{TOKEN}}}",
        )
    },
    "a header that is a secret by its name": {
        "connections/x.yaml": a_document(
            "Connection",
            "x",
            "type: webhook\nurl: https://example.com/a\n"
            f"headers: {{x-token: ⟦BOE049⟧{TOKEN}}}",
        )
    },
    "a comment": {
        "reports/x.yaml": a_document(
            "Report", "x", f"connection: db\n# was ⟦BOE156⟧{TOKEN}\nquery: select 1"
        )
    },
    "a description": {
        "reports/x.yaml": a_document(
            "Report",
            "x",
            "connection: db\nquery: select 1",
            f"  description: ⟦BOE156⟧{TOKEN}\n",
        )
    },
    "a field of another type": {
        "reports/x.yaml": a_document(
            "Report",
            "x",
            f"connection: db\nquery: select 1\nmax_rows: ⟦BOE036⟧⟦BOE156⟧{TOKEN}",
        )
    },
}


@pytest.mark.parametrize("case", PLACES)
def test_it_is_told_at_its_place_and_shown_nowhere(case: str) -> None:
    files, expected = unmarked({**GOOD, **PLACES[case]})
    plan = plan_of(files)
    assert {spot(one) for one in plan.problems} == expected
    told = [str(one) for one in plan.problems]
    shown = json.dumps([*plan.activation.problems, *map(str, plan.statuses), *told])
    assert TOKEN not in shown
    assert "***" in shown or "BOE036" not in shown


def test_a_plan_hides_what_a_change_takes_out() -> None:
    """An older BOE may have served it."""
    marked = f"select '{TOKEN}' # boe:not-a-secret"
    report = GOOD["reports/sales.yaml"]
    before = plan_of({**GOOD, "reports/sales.yaml": report.replace("select 1", marked)})
    assert before.problems == []
    found = changes(before, plan_of(GOOD), now=NOW, days=1)
    assert "***" in repr(found)
    assert TOKEN not in repr(found)
