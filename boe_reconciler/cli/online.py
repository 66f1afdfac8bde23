"""`boe validate --online`: what secrets and Connections answer here and now."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from boe_reconciler.cli.output import console, counted, say

if TYPE_CHECKING:
    from boe_reconciler.app import App
    from boe_reconciler.core.plan import Plan
    from boe_reconciler.core.plan.online import Question
    from boe_reconciler.core.problems import Problem


def asked(app: App, plan: Plan, files: Collection[str] | None) -> list[Problem]:
    """A Problem for each secret and Connection of these files that does not answer."""
    from boe_reconciler.core.plan.online import questions

    if plan.world is None:
        return []
    app.at_hand = plan.blobs
    found = [
        one
        for one in questions(plan.world)
        if files is None or one.document.range(one.path).filename in files
    ]
    secrets = [one for one in found if one.is_secret]
    connections = [one for one in found if not one.is_secret]
    failed = _failures(app, secrets, "secret")
    able = [one for one in connections if not failed.keys() & {*one.needs}]
    failed |= _failures(app, able, "Connection")
    _tell_skipped([one for one in connections if one not in able])
    return list(failed.values())


def _failures(app: App, asked: list[Question], word: str) -> dict[Question, Problem]:
    """Those that failed; a count stands on a terminal meanwhile."""
    failed = {}
    told = f"Asking {counted(len(asked), word)}"
    with console(stderr=True).status(f"{told} …") as status:
        for number, (question, error) in enumerate(app.ask(asked), 1):
            status.update(f"{told}: {number} answered …")
            if error is not None:
                failed[question] = question.problem(error)
    return failed


def _tell_skipped(skipped: list[Question]) -> None:
    for one in skipped:
        told = f"Not asked, since its secret is missing: {one.name}."
        say(told, "yellow", stderr=True)
