"""Which git repo is read, and how it is reached: settings, never something a repo says."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import PurePath
from typing import Literal

from boe_reconciler.core.errors import InputError
from boe_reconciler.core.records import dataclass

#: Seconds between two looks, at least.
_OFTEN = timedelta(seconds=1)
#: host:path, as people write it for ssh.
_SCP = re.compile(r"(?P<host>(?:[\w.+-]+@)?[\w.-]+):(?P<path>(?!//)[^:]+)")
#: What stands behind ://
_FILE = re.compile(r"/.+")
_FAR = re.compile(
    r"(?:[\w.+-]+@)?(?:[A-Za-z0-9][\w.-]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?/[^?#]+"
)
#: What git allows in no name of a branch, and what would be more than one.
_NO_BRANCH = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|^[-/.]|[/.]$|\.lock$")
_FORMS = "Give https://HOST/PATH, ssh://git@HOST/PATH, git@HOST:PATH or a folder."

_COMMIT = re.compile("[0-9a-f]{40}")
#: A revision of a plain folder begins with it.
_FOLDER = "folder"

Scheme = Literal["https", "ssh", "file"]


@dataclass(frozen=True, kw_only=True, slots=True)
class GitRemote:
    #: Without any credential.
    url: str
    branch: str
    #: Between two looks at the branch.
    poll: timedelta
    #: What goes with the token; most hosts take any.
    username: str = "x-access-token"
    #: The variable, or else the file, that holds the token.
    token_variable: str | None = None
    token_file: PurePath | None = None
    ssh_key: PurePath | None = None
    known_hosts: PurePath | None = None
    #: Who may sign: a file of SSH keys, a home of GnuPG. Neither: nobody has to.
    allowed_signers: PurePath | None = None
    gpg_home: PurePath | None = None

    @property
    def scheme(self) -> Scheme:
        return scheme_of(self.url)

    @property
    def has_token(self) -> bool:
        return self.token_variable is not None or self.token_file is not None

    @property
    def signed(self) -> bool:
        """Whether only signed commits are served."""
        return self.allowed_signers is not None or self.gpg_home is not None


def scheme_of(url: str) -> Scheme:
    """Of a URL that passed `check_url`."""
    if url.startswith("https://"):
        return "https"
    return "ssh" if url.startswith("ssh://") or _SCP.fullmatch(url) else "file"


def is_folder(url: str) -> bool:
    """Whether it is a path, without a scheme."""
    return scheme_of(url) == "file" and not url.startswith("file://")


def check_url(url: str) -> str:
    """The URL itself; InputError, which does not show it, where it cannot be used."""
    if not url or not url.isprintable() or url.startswith("-"):
        raise InputError("--git: that is no URL of a git repo.", _FORMS)
    scheme, there, rest = url.partition("://")
    if there:
        _check_parts(scheme, rest)
    elif "::" in url or ("@" in url and ":" in url.partition("@")[0]):
        raise InputError("--git: that is no URL of a git repo.", _FORMS)
    return url


def _check_parts(scheme: str, rest: str) -> None:
    if scheme not in ("https", "ssh", "file"):
        raise InputError("--git: only https, ssh and files are read from.", _FORMS)
    user, at, _ = rest.partition("/")[0].rpartition("@")
    if at and (scheme != "ssh" or ":" in user):
        raise InputError(
            "--git: the URL holds a credential, which others would see.",
            "Give the token by BOE_GIT_TOKEN_FILE or BOE_GIT_TOKEN, and the URL "
            "without what stands before the @. Revoke a token that was shown.",
        )
    pattern = _FILE if scheme == "file" else _FAR
    if not pattern.fullmatch(rest):
        raise InputError("--git: that is no URL of a git repo.", _FORMS)


def check_branch(name: str) -> str:
    """The name itself; InputError where no branch can have it."""
    if not name or len(name) > 200 or _NO_BRANCH.search(name):
        raise InputError(f"--branch: {name!r} is not the name of a branch.")
    if name == _FOLDER:
        raise InputError("--branch: folder is the word for what is not in git.")
    return name


def check_poll(poll: timedelta) -> timedelta:
    if poll < _OFTEN:
        raise InputError("--poll: at least 1s.")
    return poll


def commit_of(revision: str) -> tuple[str, str] | None:
    """(branch, commit) of `main@sha1:<40 hex>`; None for that of a folder."""
    name, _, commit = revision.rpartition("@sha1:")
    if name in ("", _FOLDER) or not _COMMIT.fullmatch(commit):
        return None
    return name, commit
