"""Which forge it is, and what may be sent to it."""

from __future__ import annotations

from typing import Any

import pytest

from boe_reconciler.core.errors import InputError
from boe_reconciler.core.forge import (
    api_of,
    check_project,
    context_of,
    cut,
    forge_at,
    kind_of,
    marker,
    request_of,
)


@pytest.mark.parametrize(
    ("url", "api", "project"),
    [
        (
            "https://github.com/team/reports.git",
            "https://api.github.com",
            "team/reports",
        ),
        ("git@github.com:team/reports.git", "https://api.github.com", "team/reports"),
        (
            "ssh://git@GitHub.com:22/team/reports",
            "https://api.github.com",
            "team/reports",
        ),
        ("https://gitlab.com/a/b/c.git", "https://gitlab.com/api/v4", "a/b/c"),
        ("https://git.example.com:8443/a/b/", "", "a/b"),
        ("/srv/git/reports.git", "", ""),
        ("file:///srv/git/reports.git", "", ""),
    ],
)
def test_a_git_url_tells_where_its_forge_is(url: str, api: str, project: str) -> None:
    assert api_of(url) == (api, project)


@pytest.mark.parametrize(
    ("api", "kind"),
    [
        ("https://api.github.com", "github"),
        ("https://git.example.com/api/v3/", "github"),
        ("https://api.octocorp.ghe.com", "github"),
        ("https://git.example.com:8443/lab/api/v4", "gitlab"),
        ("http://127.0.0.1:8000/api/v4", "gitlab"),
    ],
)
def test_the_api_tells_which_forge_it_is(api: str, kind: str) -> None:
    assert forge_at(api, "a/b").kind == kind


@pytest.mark.parametrize(
    "api",
    [
        "http://git.example.com/api/v4",
        "https://user:pw@git.example.com/api/v4",
        "https://git.example.com",
        "ftp://x/api/v4",
    ],
)
def test_a_token_goes_only_to_an_api_that_we_know_over_https(api: str) -> None:
    with pytest.raises(InputError, match="BOE_FORGE_URL"):
        kind_of(api)


def test_a_project_has_only_letters_that_projects_have() -> None:
    assert check_project("a-b/c.d/e_f") == "a-b/c.d/e_f"
    assert check_project("17") == "17"
    for project in ("", "a/../b", "..", "a?", "a//b", "/a"):
        with pytest.raises(InputError, match="BOE_FORGE_PROJECT"):
            check_project(project)


def test_what_is_too_long_is_cut_and_shows_it() -> None:
    assert cut("abc", 3) == "abc"
    assert cut("abcd ef", 6) == "abcd…"
    assert len(cut("x" * 500, 140)) == 140


def test_statuses_and_comments_of_two_environments_are_told_apart() -> None:
    assert (context_of(None), context_of("test")) == ("boe", "boe/test")
    assert not marker(context_of("test")).startswith(marker(context_of(None)))


GITHUB = {"GITHUB_REPOSITORY": "team/reports"}
GITLAB = {"CI_API_V4_URL": "https://g.example.com/api/v4", "CI_PROJECT_ID": "12"}


@pytest.mark.parametrize(
    ("found", "event", "number"),
    [
        (GITHUB, {"pull_request": {"number": 7}}, 7),
        (GITHUB, {"issue": {"number": 8}}, 8),
        ({**GITHUB, "GITHUB_REF": "refs/pull/9/merge"}, None, 9),
        ({**GITLAB, "CI_MERGE_REQUEST_IID": "4"}, None, 4),
    ],
)
def test_a_ci_job_says_which_request_it_is_about(
    found: dict[str, str], event: Any, number: int
) -> None:
    api, project, found_number = request_of(found, event)
    assert found_number == number
    assert project in ("team/reports", "12")
    assert kind_of(api)


def test_the_request_of_a_fork_is_in_the_project_that_it_is_for() -> None:
    fork = {"CI_MERGE_REQUEST_IID": "4", "CI_MERGE_REQUEST_PROJECT_ID": "99"}
    assert request_of({**GITLAB, **fork}, None)[1] == "99"


@pytest.mark.parametrize(
    ("found", "event", "why"),
    [
        ({}, None, "no job of GitHub"),
        ({**GITHUB, "GITHUB_REF": "refs/heads/main"}, {"pull_request": 5}, "not about"),
        (GITHUB, ["x"], "not about"),
        (GITLAB, None, "not about"),
    ],
)
def test_a_job_that_is_about_no_request_is_told_so(
    found: dict[str, str], event: Any, why: str
) -> None:
    with pytest.raises(InputError, match=why):
        request_of(found, event)
