"""The forge: where the git repo lives and people meet it, such as GitHub or GitLab."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any, Literal

from boe_reconciler.core.errors import InputError
from boe_reconciler.core.records import dataclass

Kind = Literal["github", "gitlab"]
State = Literal["pending", "success", "failure"]

#: What stands behind the address of a forge where its API is.
_APIS: dict[str, Kind] = {"/api/v3": "github", "/api/v4": "gitlab"}
#: Host -> its API.
_PUBLIC = {
    "github.com": "https://api.github.com",
    "gitlab.com": "https://gitlab.com/api/v4",
}
#: A git URL of a host: https, ssh, and host:path; not a folder.
_REMOTE = re.compile(
    r"(?:(?:https|ssh)://(?:[\w.+-]+@)?(?P<host>[\w.-]+)(?::[0-9]+)?/|"
    r"(?:[\w.+-]+@)?(?P<short>[\w.-]+):(?!//))(?P<path>.+)"
)
_HTTP = re.compile(r"http://(localhost|127\.[0-9.]+|\[::1\])(:[0-9]+)?(/.*)?")
_HTTPS = re.compile(r"https://[\w.-]+(:[0-9]+)?(/[^?#\s]*)?")
#: GitHub Enterprise in the cloud, with data in one region.
_TENANT = re.compile(r"https://api\.[\w-]+\.ghe\.com")
_PART = r"(?!\.\.?(?:/|$))[\w.-]+"
_PROJECT = re.compile(f"{_PART}(/{_PART})*")
_TODO = (
    "Give BOE_FORGE_URL as https://HOST/api/v3 for GitHub Enterprise, "
    "https://HOST/api/v4 for GitLab."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class CommitStatus:
    """What stands beside a commit in the forge."""

    state: State
    description: str
    #: Its name there: a later one of the same name replaces it.
    context: str
    #: Where "details" leads to.
    target_url: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ForgeAt:
    """A project in a forge, and where its token is."""

    kind: Kind
    #: The base of the API, without a slash at its end.
    url: str
    #: owner/name, or its number in GitLab.
    project: str
    #: The variable, or else the file, that holds the token.
    token_variable: str | None = None
    token_file: PurePath | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class PullRequest:
    """The pull request, or merge request, that a CI job is about."""

    at: ForgeAt
    number: int


def api_of(git_url: str) -> tuple[str, str]:
    """(API, project) of a git URL: each is empty where it does not follow from it."""
    found = _REMOTE.fullmatch(git_url)
    if found is None:
        return "", ""
    project = found["path"].strip("/").removesuffix(".git")
    host = found["host"] or found["short"]
    return _PUBLIC.get(host.lower(), ""), project


def kind_of(api: str) -> Kind:
    """InputError for what is no base of an API that we know."""
    if not _HTTPS.fullmatch(api) and not _HTTP.fullmatch(api):
        raise InputError("BOE_FORGE_URL is no https address.", _TODO)
    if api == _PUBLIC["github.com"] or _TENANT.fullmatch(api):
        return "github"
    for ending, kind in _APIS.items():
        if api.endswith(ending):
            return kind
    raise InputError(f"BOE_FORGE_URL: {api} is the API of no forge we know.", _TODO)


def forge_at(
    api: str,
    project: str,
    *,
    token_variable: str | None = None,
    token_file: PurePath | None = None,
) -> ForgeAt:
    """InputError for what cannot be one."""
    url = api.rstrip("/")
    return ForgeAt(
        kind=kind_of(url),
        url=url,
        project=check_project(project),
        token_variable=token_variable,
        token_file=token_file,
    )


def check_project(project: str) -> str:
    if not _PROJECT.fullmatch(project):
        raise InputError(
            f"BOE_FORGE_PROJECT: {project!r} is no project.",
            "Give owner/name, or group/subgroup/name.",
        )
    return project


def cut(text: str, limit: int) -> str:
    """At most `limit` characters; an ellipsis shows that there was more."""
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def request_of(found: Mapping[str, str], event: Any) -> tuple[str, str, int]:
    """(API, project, number) of the request that a CI job is about.

    `found` is the job's environment, `event` what GitHub says of why it runs.
    InputError where there is no such request.
    """
    if found.get("GITHUB_REPOSITORY"):
        api = found.get("GITHUB_API_URL") or _PUBLIC["github.com"]
        project = found["GITHUB_REPOSITORY"]
        number = _number(event) or _of_ref(found.get("GITHUB_REF", ""))
    elif found.get("CI_API_V4_URL"):
        api = found["CI_API_V4_URL"]
        # In a fork it is the other project that has the request.
        of_fork = found.get("CI_MERGE_REQUEST_PROJECT_ID")
        project = of_fork or found.get("CI_PROJECT_ID", "")
        number = _digits(found.get("CI_MERGE_REQUEST_IID", ""))
    else:
        raise InputError(
            "This is no job of GitHub Actions or GitLab CI.",
            "--comment is for those; --format markdown prints the same.",
        )
    if not number:
        raise InputError(
            "This job is not about a pull or merge request.",
            "Let it run for those alone (docs/ci.md).",
        )
    return api, project, number


def _number(event: Any) -> int:
    """Of the pull request, also where the event is a comment on it."""
    for name in ("pull_request", "issue"):
        found = event.get(name) if isinstance(event, dict) else None
        number = found.get("number") if isinstance(found, dict) else None
        if isinstance(number, int):
            return number
    return 0


def _of_ref(ref: str) -> int:
    """refs/pull/7/merge"""
    found = re.fullmatch(r"refs/pull/([0-9]{1,9})/\w+", ref)
    return int(found[1]) if found else 0


def _digits(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 10 else 0


def context_of(environment: str | None) -> str:
    """What statuses and comments are called: each Environment has its own."""
    return f"boe/{environment}" if environment else "boe"


def marker(context: str) -> str:
    """What makes a comment ours, and is not seen."""
    return f"<!-- {context}: this comment is kept up to date by `boe plan` -->"
