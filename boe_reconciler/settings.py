"""The only file that reads the environment: flag over variable over default."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from boe_reconciler.core.errors import InputError
from boe_reconciler.core.records import dataclass

if TYPE_CHECKING:
    from boe_reconciler.core.forge import ForgeAt, PullRequest
    from boe_reconciler.core.remote import GitRemote

PREFIX = "BOE_"
#: What a setting is; None: it is not given.
Value = Callable[[str], str | None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Setting:
    name: str
    default: str
    description: str

    @property
    def variable(self) -> str:
        return PREFIX + self.name.upper()


#: Every setting there is; docs/settings.md is made from it.
SETTINGS = (
    Setting(
        name="root",
        default=".",
        description="The folder with the YAML; the option -C wins.",
    ),
    Setting(
        name="state",
        default="<root>/.boe",
        description="The folder with ledger, blobs and logs; the option --state wins.",
    ),
    Setting(
        name="env",
        default="<none>",
        description="The Environment that is laid over the files; the option --env wins.",
    ),
    Setting(
        name="sops_age_key_file",
        default="<none>",
        description="A file with the age keys that open {sops: file#key}.",
    ),
    Setting(
        name="data_root",
        default="<root>",
        description="What the data paths of Connections are relative to.",
    ),
    Setting(
        name="local_root",
        default="<root>",
        description="What the base_path of `local` destinations is relative to.",
    ),
    Setting(
        name="workers",
        default="<number of CPUs, and five more>",
        description="Runs that are executed at the same time.",
    ),
    Setting(
        name="http",
        default="<none>",
        description="HOST:PORT where `boe run` answers /metrics, /healthz and /readyz; "
        "the option --http wins.",
    ),
    Setting(
        name="ping_url",
        default="<none>",
        description="A URL that `boe run` tells once a minute that it is ready; "
        "URL/fail if it is not.",
    ),
    Setting(
        name="memory_limit",
        default="1GB",
        description="What one DuckDB Connection may use before it spills to disk.",
    ),
    Setting(
        name="child_memory",
        default="2GB",
        description="What a transform, or a run with `isolate`, may use in its process.",
    ),
    Setting(
        name="git",
        default="<none>",
        description="The URL of the git repo that `boe run` serves instead of the folder; --git wins.",
    ),
    Setting(
        name="branch",
        default="main",
        description="The branch that is served; --branch wins.",
    ),
    Setting(
        name="poll",
        default="30s",
        description="How often the branch is asked for its head; --poll wins.",
    ),
    Setting(
        name="git_token_file",
        default="<none>",
        description="A file with the token for https; read anew at each use.",
    ),
    Setting(
        name="git_token",
        default="<none>",
        description="The token itself, where there is no such file.",
    ),
    Setting(
        name="git_username",
        default="x-access-token",
        description="The user name that goes with the token.",
    ),
    Setting(
        name="git_ssh_key",
        default="<none>",
        description="A file with the private key for ssh; without one, the ssh agent has it.",
    ),
    Setting(
        name="git_known_hosts",
        default="<none>",
        description="A file with the public keys of the host; needed for ssh.",
    ),
    Setting(
        name="git_allowed_signers",
        default="<none>",
        description="SSH keys that may sign commits, as `ssh-keygen -Y` reads them.",
    ),
    Setting(
        name="git_gpg_home",
        default="<none>",
        description="A home of GnuPG whose keys may sign commits.",
    ),
    Setting(
        name="hook_secret_file",
        default="<none>",
        description="A file with the secret that POST /hooks/fetch asks for; without a "
        "secret there is no such page. Needs --http.",
    ),
    Setting(
        name="hook_secret",
        default="<none>",
        description="The secret itself, where there is no such file.",
    ),
    Setting(
        name="forge_token_file",
        default="<none>",
        description="A file with the token for commit statuses and comments; "
        "without a token there are none.",
    ),
    Setting(
        name="forge_token",
        default="<none>",
        description="The token itself, where there is no such file.",
    ),
    Setting(
        name="forge_url",
        default="<of github.com or gitlab.com>",
        description="The API of the forge: https://HOST/api/v3 (GitHub Enterprise) "
        "or https://HOST/api/v4 (GitLab).",
    ),
    Setting(
        name="forge_project",
        default="<that of BOE_GIT>",
        description="owner/name, or group/subgroup/name.",
    ),
    Setting(
        name="forge_target_url",
        default="<none>",
        description="Where a commit status leads to, such as a dashboard.",
    ),
    Setting(
        name="notice_url",
        default="<none>",
        description="A URL that is told when a revision or a run fails, and when it is "
        'well again: {"text": …}, as Slack and Mattermost take it.',
    ),
    Setting(
        name="notice_remind",
        default="24h",
        description="How often a failure that lasts is told again.",
    ),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    root: Path
    state: Path
    data_root: Path
    local_root: Path
    workers: int
    memory_limit: str
    child_memory: str
    #: The git repo to serve; None: the folder `root`.
    git: GitRemote | None = None
    #: The Environment that is laid over the files; None: they count as they stand.
    env: str | None = None
    #: A file with age keys, for sops.
    sops_age_key_file: Path | None = None
    #: What secrets of the form {env: X} are read from. Never printed.
    environment: Mapping[str, str] = field(default_factory=dict)
    #: HOST:PORT of the small HTTP server; None: there is none.
    http: str | None = None
    #: Told once a minute how it is. A key stands in it: never printed.
    ping_url: str | None = None
    #: The revision that the pull or merge request of a CI job starts from.
    base: str | None = None
    #: The secret of /hooks/fetch: its variable, or else its file; None: no such page.
    hook_secret: str | Path | None = None
    #: Where commit statuses go; None: nowhere.
    forge: ForgeAt | None = None
    #: Where those lead to.
    forge_target_url: str | None = None
    #: Told of revisions that fail. A key stands in it: never printed.
    notice_url: str | None = None
    notice_remind: timedelta = timedelta(hours=24)


@dataclass(frozen=True, kw_only=True, slots=True)
class GitFlags:
    """What the options of `boe run` say; None: nothing."""

    url: str | None = None
    branch: str | None = None
    poll: str | None = None


def environment() -> Mapping[str, str]:
    return dict(os.environ)


def read_settings(
    *,
    root: Path | None = None,
    state: Path | None = None,
    git: GitFlags | None = None,
    env: str | None = None,
) -> Settings:
    """Settings from flags and the environment; InputError for a value that is wrong."""
    found = environment()

    def value(name: str) -> str | None:
        return found.get(PREFIX + name.upper()) or None

    base = (root or Path(value("root") or ".")).resolve()
    if not base.is_dir():
        raise InputError(f"There is no folder {base}.", "Give an existing one with -C.")

    def folder(name: str) -> Path:
        return (base / (value(name) or ".")).resolve()

    remote = _git(git or GitFlags(), value, base)
    keys = value("sops_age_key_file")
    return Settings(
        root=base,
        state=(base / (state or value("state") or ".boe")).resolve(),
        data_root=folder("data_root"),
        local_root=folder("local_root"),
        workers=_positive("workers", value("workers"), (os.cpu_count() or 1) + 5),
        memory_limit=value("memory_limit") or "1GB",
        child_memory=value("child_memory") or "2GB",
        git=remote,
        env=value("env") if env is None else _named(env),
        sops_age_key_file=base / keys if keys else None,
        environment=found,
        http=value("http"),
        ping_url=_url("ping_url", value("ping_url")),
        base=_base(found),
        hook_secret=_hook_secret(value, base),
        forge=_forge(remote.url, value, base) if remote else None,
        forge_target_url=_url("forge_target_url", value("forge_target_url")),
        notice_url=_url("notice_url", value("notice_url")),
        notice_remind=_remind(value("notice_remind")),
    )


def read_pull_request(root: Path) -> PullRequest:
    """The one that this CI job is about. InputError where there is none, or no token."""
    from boe_reconciler.core import forge  # noqa: PLC0415 only `plan --comment` waits for it

    found = environment()

    def value(name: str) -> str | None:
        return found.get(PREFIX + name.upper()) or None

    event = _event(found.get("GITHUB_EVENT_PATH"))
    api, project, number = forge.request_of(found, event)
    variable, file = _forge_token(value, root)
    if variable is None and file is None:
        if not found.get("GITHUB_TOKEN"):
            raise InputError(
                "There is no token for a comment.", "Give it by BOE_FORGE_TOKEN."
            )
        variable = "GITHUB_TOKEN"
    at = forge.forge_at(api, project, token_variable=variable, token_file=file)
    return forge.PullRequest(at=at, number=number)


def _event(path: str | None) -> Any:
    """What GitHub says of why a job runs; None where that cannot be read."""
    import json  # noqa: PLC0415 for comments alone

    try:
        return json.loads(Path(path).read_bytes()) if path else None
    except (OSError, ValueError):
        return None


def _base(found: Mapping[str, str]) -> str | None:
    """As GitHub Actions and GitLab CI say it; None: this is no job for a request."""
    branch = found.get("GITHUB_BASE_REF")
    if branch:
        return f"origin/{branch}"
    return found.get("CI_MERGE_REQUEST_DIFF_BASE_SHA") or None


def _named(env: str) -> str:
    if not env:
        raise InputError("--env is empty.", "Name an Environment, or leave it out.")
    return env


def _url(name: str, text: str | None) -> str | None:
    if text is None or re.match(r"https?://[^/?#\s]", text):
        return text
    raise InputError(
        f"{PREFIX}{name.upper()} is no web address.",
        "It begins with https:// and a host.",
    )


def _git(flags: GitFlags, value: Value, base: Path) -> GitRemote | None:
    url = flags.url or value("git")
    return _remote(url, flags, value, base) if url else None


def _remote(url: str, flags: GitFlags, value: Value, base: Path) -> GitRemote:
    # Only those who read from git wait for these.
    from boe_reconciler.core import remote  # noqa: PLC0415 as above
    from boe_reconciler.core.resources.types import parse_duration  # noqa: PLC0415 as above

    def file(name: str) -> Path | None:
        found = value(name)
        return base / found if found else None

    remote.check_url(url)
    poll = flags.poll or value("poll") or "30s"
    try:
        often = remote.check_poll(parse_duration(poll))
    except ValueError as error:
        raise InputError(f"--poll: {error}.") from error
    return remote.GitRemote(
        url=_absolute(url, base) if remote.is_folder(url) else url,
        branch=remote.check_branch(flags.branch or value("branch") or "main"),
        poll=often,
        username=value("git_username") or "x-access-token",
        token_variable=PREFIX + "GIT_TOKEN" if value("git_token") else None,
        token_file=file("git_token_file"),
        ssh_key=file("git_ssh_key"),
        known_hosts=file("git_known_hosts"),
        allowed_signers=file("git_allowed_signers"),
        gpg_home=file("git_gpg_home"),
    )


def _hook_secret(value: Value, base: Path) -> str | Path | None:
    file = value("hook_secret_file")
    if file:
        return base / file
    return PREFIX + "HOOK_SECRET" if value("hook_secret") else None


def _remind(text: str | None) -> timedelta:
    if text is None:
        return timedelta(hours=24)
    from boe_reconciler.core.resources.types import parse_duration  # noqa: PLC0415 as above

    try:
        often = parse_duration(text)
    except ValueError as error:
        raise InputError(f"BOE_NOTICE_REMIND: {error}.") from error
    if often < timedelta(minutes=1):
        raise InputError("BOE_NOTICE_REMIND: at least 1m.")
    return often


def _forge(url: str, value: Value, base: Path) -> ForgeAt | None:
    """Where the commits of a git URL are told about; None without a token."""
    from boe_reconciler.core import forge  # noqa: PLC0415 as above

    variable, file = _forge_token(value, base)
    if variable is None and file is None:
        return None
    api, project = forge.api_of(url)
    api = value("forge_url") or api
    project = value("forge_project") or project
    if not api or not project:
        raise InputError(
            "There is a token for the forge, but BOE_GIT does not tell where it is.",
            f"Give BOE_FORGE_{'PROJECT' if api else 'URL'}.",
        )
    return forge.forge_at(api, project, token_variable=variable, token_file=file)


def _forge_token(value: Value, base: Path) -> tuple[str | None, Path | None]:
    file = value("forge_token_file")
    if file:
        return None, base / file
    return (PREFIX + "FORGE_TOKEN" if value("forge_token") else None), None


def _absolute(url: str, base: Path) -> str:
    """A folder is relative to where BOE runs."""
    return str((base / Path(url).expanduser()).resolve())


def _positive(name: str, text: str | None, default: int) -> int:
    if text is None:
        return default
    if not text.isdecimal() or int(text) < 1:
        raise InputError(
            f"{PREFIX}{name.upper()} is {text!r}.", "Give a whole number from 1."
        )
    return int(text)
