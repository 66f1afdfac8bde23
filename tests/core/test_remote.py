"""Which git repos may be named, and that none shows a credential."""

from __future__ import annotations

from datetime import timedelta
from pathlib import PurePosixPath

import pytest

from boe_reconciler.core.errors import InputError
from boe_reconciler.core.remote import (
    GitRemote,
    check_branch,
    check_poll,
    check_url,
    commit_of,
    is_folder,
    scheme_of,
)

GOOD_URLS = {
    "https://git.example.com/team/reports.git": "https",
    "https://git.example.com:8443/reports": "https",
    "https://[::1]:8443/reports": "https",
    "ssh://git@git.example.com/team/reports.git": "ssh",
    "ssh://git.example.com:2222/reports": "ssh",
    "git@git.example.com:team/reports.git": "ssh",
    "git.example.com:reports.git": "ssh",
    "file:///srv/git/reports.git": "file",
    "/srv/git/reports.git": "file",
    "../reports": "file",
    "reports with spaces": "file",
}


@pytest.mark.parametrize("url", GOOD_URLS)
def test_https_ssh_and_folders_are_read_from(url: str) -> None:
    assert check_url(url) == url
    assert scheme_of(url) == GOOD_URLS[url]
    assert is_folder(url) == (GOOD_URLS[url] == "file" and "://" not in url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "--upload-pack=touch /tmp/x",
        "http://git.example.com/reports",
        "git://git.example.com/reports",
        "ext::sh -c 'touch /tmp/x'",
        "ext://x/y",
        "https://git.example.com",
        "https:///reports",
        "https://-oProxyCommand=x/reports",
        "ssh://-oProxyCommand=x/reports",
        "https://git.example.com/reports?private_token=abc",
        "https://git.example.com/reports#x",
        "https://git.example.com:port/reports",
        "file://server/share",
        "git@exam\nple.com:x",
        "x@\u202eexample.com:y",
    ],
)
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(InputError):
        check_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "https://user:s3cret@git.example.com/reports",
        "https://s3cret@git.example.com/reports",
        "ssh://git:s3cret@git.example.com/reports",
        "file://s3cret@host/reports",
        "user:s3cret@git.example.com:reports",
    ],
)
def test_a_url_with_a_credential_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(InputError) as refused:
        check_url(url)
    assert "s3cret" not in refused.value.message + refused.value.help


@pytest.mark.parametrize("name", ["main", "release/2026", "a-b_c.d", "é"])
def test_names_of_branches(name: str) -> None:
    assert check_branch(name) == name


NO_BRANCHES = "-x a..b a* a.lock /a a/ a//b a@{1} folder a:b +a:b ^a ~a".split()


@pytest.mark.parametrize("name", [*NO_BRANCHES, "", "a b", "a\n", "x" * 201])
def test_what_no_branch_is_called(name: str) -> None:
    with pytest.raises(InputError, match="--branch"):
        check_branch(name)


def test_a_poll_takes_a_second_at_least() -> None:
    assert check_poll(timedelta(seconds=1)) == timedelta(seconds=1)
    with pytest.raises(InputError, match="at least 1s"):
        check_poll(timedelta(milliseconds=999))


def test_a_revision_names_its_branch_and_commit() -> None:
    assert commit_of("main@sha1:" + "a" * 40) == ("main", "a" * 40)
    assert commit_of("a@b@sha1:" + "a" * 40) == ("a@b", "a" * 40)
    for other in ("folder@sha1:" + "a" * 40, "main@sha1:abc", "", "@sha1:" + "a" * 40):
        assert commit_of(other) is None


def test_what_a_remote_needs_is_seen_from_it() -> None:
    def remote(**fields: object) -> GitRemote:
        return GitRemote(url="/x", branch="main", poll=timedelta(1), **fields)  # type: ignore[arg-type]

    here = PurePosixPath("here")
    assert remote().scheme == "file"
    assert not remote().signed
    assert remote(gpg_home=here).signed
    assert remote(allowed_signers=here).signed
    assert not remote().has_token
    assert remote(token_file=here).has_token
    assert remote(token_variable="BOE_GIT_TOKEN").has_token
