"""GitHub, and GitHub Enterprise under /api/v3."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import quote

from boe_reconciler.core.errors import Permanent
from boe_reconciler.core.forge import CommitStatus, ForgeAt, cut
from boe_reconciler.core.ports import Clock
from boe_reconciler.forges import _comments
from boe_reconciler.forges._api import Api
from boe_reconciler.forges._comments import Comment

_DESCRIPTION = 140
_COMMENT = 65_000
_HEADERS = {
    "Accept": "application/vnd.github+json",
    "X-GitHub-Api-Version": "2022-11-28",
}


def create(
    at: ForgeAt,
    *,
    token: Callable[[], str],
    redact: Callable[[str], str],
    clock: Clock,
) -> GitHub:
    api = Api(base=at.url, token=token, redact=redact, clock=clock, headers=_HEADERS)
    return GitHub(api, quote(at.project, safe="/"))


class GitHub:
    def __init__(self, api: Api, project: str) -> None:
        self._api = api
        self._repo = f"/repos/{project}"

    def report(self, commit: str, status: CommitStatus) -> None:
        told = {
            "state": status.state,
            "description": cut(status.description, _DESCRIPTION),
            "context": status.context,
        }
        if status.target_url:
            told["target_url"] = status.target_url
        self._api.call("POST", f"{self._repo}/statuses/{quote(commit)}", told)

    def comment(self, number: int, marker: str, text: str) -> None:
        thread = _Thread(self._api, self._repo, number)
        _comments.keep_one(thread, marker, cut(text, _COMMENT))

    def close(self) -> None:
        self._api.close()


class _Thread:
    def __init__(self, api: Api, repo: str, number: int) -> None:
        self._api = api
        self._list = f"{repo}/issues/{number}/comments"
        self._one = f"{repo}/issues/comments"

    def mine(self) -> Callable[[Mapping[str, Any]], bool]:
        """A token of an app, such as that of Actions, may not ask who it is: of the
        comments of apps it knows its own by the marker."""
        with suppress(Permanent):
            me = self._api.value("GET", "/user", "login")
            return lambda user: user.get("login") == me
        return lambda user: user.get("type") == "Bot"

    def comments(self) -> list[Comment]:
        mine = self.mine()
        return [
            Comment(id=one["id"], text=str(one.get("body") or ""))
            for one in self._api.pages(self._list)
            if mine(_comments.author(one, "user"))
        ]

    def add(self, text: str) -> None:
        self._api.call("POST", self._list, {"body": text})

    def change(self, id_: int, text: str) -> None:
        self._api.call("PATCH", f"{self._one}/{id_}", {"body": text})

    def remove(self, id_: int) -> None:
        self._api.call("DELETE", f"{self._one}/{id_}")
