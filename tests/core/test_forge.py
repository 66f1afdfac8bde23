"""Which forge it is, and what may be sent to it."""

from __future__ import annotations

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
    for project in ("", "a/../b?", "a//b", "/a"):
        with pytest.raises(InputError, match="BOE_FORGE_PROJECT"):
            check_project(project)


def test_what_is_too_long_is_cut_and_shows_it() -> None:
    assert cut("abc", 3) == "abc"
    assert cut("abcd ef", 6) == "abcd…"
    assert len(cut("x" * 500, 140)) == 140


def test_statuses_and_comments_of_two_environments_are_told_apart() -> None:
    assert (context_of(None), context_of("test")) == ("boe", "boe/test")
    assert not marker(context_of("test")).startswith(marker(context_of(None)))
