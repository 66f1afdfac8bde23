"""What the global options say, and the App that they lead to."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from dataclasses import field
from datetime import datetime
from pathlib import Path

import typer

from boe_reconciler.app import App
from boe_reconciler.cli.output import say
from boe_reconciler.clock import SystemClock
from boe_reconciler.core.errors import InputError
from boe_reconciler.core.records import dataclass
from boe_reconciler.settings import GitFlags, Settings, environment, read_settings

#: What this process has opened: one command's, but in tests.
_OPENED: list[App] = []
#: Shorter values of the environment would mask ordinary words.
_SHORTEST = 6
#: Errors of a file that are not ours: no room; no right, or another thing is there.
_FULL = (errno.ENOSPC, errno.EDQUOT)
_RIGHTS = (
    *(errno.EACCES, errno.EPERM, errno.EROFS),
    *(errno.EEXIST, errno.EISDIR, errno.ENOTDIR),
)
_LOOK = "Look at the state folder's owner and rights, or give another with --state."


@dataclass(frozen=True, kw_only=True, slots=True)
class Door:
    root: Path | None = None
    state: Path | None = None
    env: str | None = None
    log_format: str = "text"
    #: When the command began.
    started: datetime = field(default_factory=SystemClock().now)

    def settings(self, root: Path | None = None) -> Settings:
        return read_settings(root=root or self.root, state=self.state, env=self.env)

    def app(self, root: Path | None = None) -> App:
        """The App over the folder of -C (or `root`), closed when the command ends."""
        return self._opened(App(self.settings(root)))

    def looking_app(self) -> App:
        """For what reads the state folder alone: without --env it takes its own."""
        return self._opened(App(self.settings(), looks_only=True))

    def serving_app(self, git: GitFlags) -> App:
        """As `app`; what is served may come from git."""
        return self._opened(
            App(read_settings(root=self.root, state=self.state, git=git, env=self.env))
        )

    def _opened(self, app: App) -> App:
        if self.log_format == "text":
            app.upgrading = _upgrading
        _OPENED.append(app)
        return app


def _upgrading(version: str) -> None:
    text = f"Upgrading the ledger from version {version}: a million runs take a minute."
    say(text, "yellow", stderr=True)


def door(context: typer.Context) -> Door:
    found = context.find_object(Door)
    return found or Door()


def close_all() -> None:
    for app in _OPENED:
        app.close()


def of_the_state(error: OSError) -> tuple[str, str] | None:
    """What is wrong with a state folder, and what to do; None: it is something else."""
    if error.errno in _FULL:
        return f"{error.strerror}.", "Make room on the disk of the state folder."
    named = Path(str(error.filename))
    inside = any(named.is_relative_to(app.settings.state) for app in _OPENED)
    if error.errno not in _RIGHTS or not inside:
        return None
    return f"{named}: {error.strerror}.", _LOOK


def redacted(text: str) -> str:
    """The text without the value of any secret that was resolved."""
    for app in _OPENED:
        text = app.redact(text)
    return text


def without_environment(text: str) -> str:
    """The text with $NAME for each value of the environment."""
    names = {value: name for name, value in environment().items()}
    for value in sorted(names, key=len, reverse=True):
        if len(value) >= _SHORTEST:
            text = text.replace(value, f"${names[value]}")
    return text


def key_values(pairs: list[str]) -> Mapping[str, str]:
    """["k=v", …] -> {k: v}; InputError for one without "="."""
    split = [pair.partition("=") for pair in pairs]
    for pair, (key, equals, _) in zip(pairs, split, strict=True):
        if not key or not equals:
            raise InputError(f"{pair!r} is not of the form name=value.")
    return {key: value for key, _, value in split}
