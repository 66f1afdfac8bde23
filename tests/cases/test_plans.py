"""Typical pull requests, as a reviewer sees them: golden text and Markdown."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from boe_reconciler.cli.planning import PlanFormat, say_review
from boe_reconciler.core.changes.compare import Terms, compare
from boe_reconciler.core.changes.review import review
from tests.revisions import NOW, a_document, a_snapshot

GOLDEN = Path(__file__).parent / "plans"


def a_schedule(report: str, when: str, *deliver_to: str, more: str = "") -> str:
    return a_document(
        "Schedule",
        report,
        f"report: {report}\nwhen: {when}\ndeliver_to: [{', '.join(deliver_to)}]\n{more}",
    )


def a_report(name: str) -> str:
    return a_document("Report", name, f"connection: warehouse\nquery_file: {name}.sql")


DAILY = '{cron: "30 6 * * mon-fri", timezone: Europe/Berlin}'
MONTHLY = (
    "{frequency: monthly, on: {business_day: 1}, at: '07:00', calendar: days, "
    "timezone: America/New_York}"
)
REPO: dict[str, str] = {
    "policy.yaml": a_document("Policy", "policy", "limits: {schedules_per_owner: 50}"),
    "connections/warehouse.yaml": a_document(
        "Connection",
        "warehouse",
        "type: postgres\nhost: db.example.com\ndatabase: dwh\nuser: boe",
    ),
    "connections/mail.yaml": a_document(
        "Connection",
        "mail",
        "type: smtp\nhost: mail.example.com\nfrom: reports@example.com",
    ),
    "connections/bank.yaml": a_document(
        "Connection",
        "bank",
        "type: sftp\nhost: sftp.bank.example\nuser: boe\n"
        f"private_key: {{env: BANK_KEY}}\nhost_key: SHA256:{'A' * 43}",
    ),
    "calendars/days.yaml": a_document("Calendar", "days", "days_off: [2026-12-25]"),
    "groups/finance.yaml": a_document(
        "Group", "finance", "members: [anna@example.com, ben@example.com]"
    ),
    "distributions/archive.yaml": a_document(
        "Distribution", "archive", "destinations: [{type: local, base_path: exports}]"
    ),
    "distributions/statement.yaml": a_document(
        "Distribution",
        "statement",
        "destinations:\n"
        "- {type: email, connection: mail, subject: Hello, to: [{group: finance}]}",
    ),
    "distributions/bank.yaml": a_document(
        "Distribution",
        "bank",
        "destinations: [{type: sftp, connection: bank, base_path: in}]",
    ),
    "reports/sales.yaml": a_report("sales"),
    "reports/sales.sql": "select region, sum(amount) as amount\nfrom sales\ngroup by 1\n",
    "reports/payments.yaml": a_report("payments"),
    "reports/payments.sql": "select * from payments\n",
    "schedules/sales.yaml": a_schedule("sales", DAILY, "archive", "statement"),
    "schedules/payments.yaml": a_schedule("payments", MONTHLY, "bank", "statement"),
}
SMALL = [f"small{number:02}" for number in range(20)]
MANY = {
    **REPO,
    **{f"reports/{name}.yaml": a_report(name) for name in SMALL},
    **{f"reports/{name}.sql": "select 1\n" for name in SMALL},
    **{f"schedules/{name}.yaml": a_schedule(name, DAILY, "archive") for name in SMALL},
}


def edited(
    path: str, *changes: tuple[str, str], base: dict[str, str] = REPO
) -> dict[str, str]:
    text = base[path]
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return {**base, path: text}


def without(base: dict[str, str], *words: str) -> dict[str, str]:
    return {
        path: text
        for path, text in base.items()
        if not any(word in path for word in words)
    }


#: What would end a block, call somebody, or turn a line around.
HOSTILE = json.dumps(
    "````</details> @everyone [x](http://evil.example) <img src=x> | `#1` \u202e\x1b[31m"
)

#: Name -> what there was, and what there is after the pull request.
CHANGES: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "nothing": (REPO, {**REPO, "reports/unused.sql": "select 1"}),
    "new-schedule": (
        REPO,
        {
            **REPO,
            "schedules/weekly.yaml": a_schedule(
                "sales",
                '{cron: "0 8 * * mon", timezone: Europe/Berlin}',
                "{type: local, base_path: exports/weekly}",
            ).replace("name: sales", "name: sales-weekly"),
        },
    ),
    "moved-time": (REPO, edited("schedules/sales.yaml", ("30 6", "0 7"))),
    "group-member": (
        REPO,
        edited(
            "groups/finance.yaml",
            ("ben@example.com", "{email: zoe@partner.example, until: 2026-12-31}"),
        ),
    ),
    "folder-of-a-distribution": (
        REPO,
        edited("distributions/archive.yaml", ("exports", "exports/archive")),
    ),
    "removal-of-many": (MANY, without(MANY, "small")),
    "same-edit-in-many": (
        MANY,
        {
            path: text.replace("30 6", "45 5") if "schedules/small" in path else text
            for path, text in MANY.items()
        },
    ),
    "calendar": (
        REPO,
        edited("calendars/days.yaml", ("2026-12-25", "2026-12-01, 2026-12-25")),
    ),
    "connection-host": (
        REPO,
        edited("connections/bank.yaml", ("sftp.bank.example", "sftp.other.example")),
    ),
    "rename": (
        REPO,
        {
            **without(REPO, "schedules/sales"),
            "schedules/revenue.yaml": REPO["schedules/sales.yaml"].replace(
                "name: sales", "name: revenue\n  renamed_from: sales"
            ),
        },
    ),
    "broken-file": (
        REPO,
        {**REPO, "schedules/sales.yaml": REPO["schedules/sales.yaml"][:-30] + "{["},
    ),
    "broken-base": (
        edited("schedules/sales.yaml", ("report: sales", "report: sale")),
        REPO,
    ),
    "policy": (
        REPO,
        edited("policy.yaml", ("50", "1")),
    ),
    "query": (
        REPO,
        edited(
            "reports/sales.sql",
            ("from sales", "from sales join customers using (customer_id)"),
        ),
    ),
    "file-name": (
        REPO,
        edited(
            "schedules/sales.yaml",
            ("deliver_to", "export: {format: csv, compress: gzip}\n  deliver_to"),
        ),
    ),
    "hostile": (
        REPO,
        {
            **edited(
                "distributions/statement.yaml",
                ("metadata:\n", f"metadata:\n  description: {HOSTILE}\n"),
            ),
            "schedules/bad.yaml": f"kind: Schedule\nmetadata: {{name: {HOSTILE}}}\n",
        },
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_pull_request_is_told_as_it_was_agreed(
    name: str,
    capsys: pytest.CaptureFixture[str],
    golden: Callable[[Path, str], None],
) -> None:
    base, head = map(a_snapshot, CHANGES[name])
    compared = compare(base, head, Terms(now=NOW))
    seen = review(compared, now=NOW, days=30)
    for form, ending in ((PlanFormat.TEXT, "txt"), (PlanFormat.MARKDOWN, "md")):
        say_review(seen, form, "boe plan --base main")
        golden(GOLDEN / f"{name}.{ending}", capsys.readouterr().out)
