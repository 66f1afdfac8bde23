"""GitLab, also under a path of its own."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import quote

from boe_reconciler.core.errors import Permanent
from boe_reconciler.core.forge import CommitStatus, ForgeAt, State, cut
from boe_reconciler.core.ports import Clock
from boe_reconciler.forges import _comments
from boe_reconciler.forges._api import Api
from boe_reconciler.forges._comments import Comment

_DESCRIPTION = 255
_COMMENT = 900_000
_STATES: dict[State, str] = {
    "pending": "pending",
    "success": "success",
    "failure": "failed",
}
#: What it answers to a state that stands there already.
_SAME = "Cannot transition status"


def create(
    at: ForgeAt,
    *,
    token: Callable[[], str],
    redact: Callable[[str], str],
    clock: Clock,
) -> GitLab:
    api = Api(base=at.url, token=token, redact=redact, clock=clock)
    return GitLab(api, quote(at.project, safe=""))


class GitLab:
    def __init__(self, api: Api, project: str) -> None:
        self._api = api
        self._project = f"/projects/{project}"

    def report(self, commit: str, status: CommitStatus) -> None:
        told = {
            "state": _STATES[status.state],
            "description": cut(status.description, _DESCRIPTION),
            "name": status.context,
        }
        if status.target_url:
            told["target_url"] = status.target_url
        try:
            self._api.call("POST", f"{self._project}/statuses/{quote(commit)}", told)
        except Permanent as error:
            if _SAME not in error.message:
                raise

    def comment(self, number: int, marker: str, text: str) -> None:
        thread = _Thread(self._api, f"{self._project}/merge_requests/{number}/notes")
        _comments.keep_one(thread, marker, cut(text, _COMMENT))

    def close(self) -> None:
        self._api.close()


class _Thread:
    def __init__(self, api: Api, notes: str) -> None:
        self._api = api
        self._notes = notes

    def comments(self) -> list[Comment]:
        me = self._api.value("GET", "/user", "id")
        return [
            Comment(id=one["id"], text=str(one.get("body") or ""))
            for one in self._api.pages(f"{self._notes}?sort=asc&order_by=created_at")
            if _comments.author(one, "author").get("id") == me
        ]

    def add(self, text: str) -> None:
        self._api.call("POST", self._notes, {"body": text})

    def change(self, id_: int, text: str) -> None:
        self._api.call("PUT", f"{self._notes}/{id_}", {"body": text})

    def remove(self, id_: int) -> None:
        self._api.call("DELETE", f"{self._notes}/{id_}")
