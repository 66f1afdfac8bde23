"""How the far side lets us in: a token or a key, and never a question to a person."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from boe_reconciler.core.errors import InputError
from boe_reconciler.core.remote import GitRemote

#: Gives git what it asks for out of variables: no secret is in a command line.
_HELPER = (
    '!f() { test "$1" = get || exit 0; '
    'printf "username=%s\\npassword=%s\\n" "$BOE_ASKED_USERNAME" "$BOE_ASKED_TOKEN"; }; f'
)
#: Of a URL that git shows: whatever stands before the @.
_CREDENTIAL = re.compile(r"(?<=://)[^\s'\"]+@")
#: Lines of git that explain nothing by themselves.
_NOISE = re.compile(r"^(Please make sure|and the repository exists|\s*$|warning: )")
#: What git says -> what to do.
_ADVICE = {
    "Authentication failed": "Check the token: BOE_GIT_TOKEN_FILE or BOE_GIT_TOKEN.",
    "could not read Username": "Give a token: BOE_GIT_TOKEN_FILE or BOE_GIT_TOKEN.",
    "Permission denied": "Check the key: BOE_GIT_SSH_KEY.",
    "Host key verification failed": "Check BOE_GIT_KNOWN_HOSTS against the keys that "
    "the host publishes.",
    "certificate": "Check the URL, or name the certificates by SSL_CERT_FILE.",
    "dubious ownership": "Let the user that runs BOE own that folder.",
}


@dataclass(frozen=True, kw_only=True)
class Access:
    remote: GitRemote
    #: The token, read anew each time, where the remote has one.
    token: Callable[[], str]
    #: A text without the value of any secret.
    redact: Callable[[str], str]
    #: A config file of our own, which the far side of a local repo reads as well.
    local_config: Path

    def prepare(self) -> None:
        """Let a folder that was named be read, though another user may own it."""
        if self.remote.scheme == "file":
            folder = self.remote.url.removeprefix("file://")
            lines = "".join(
                f"\tdirectory = {_quoted(path)}\n"
                for path in (folder, f"{folder}/.git")
            )
            self.local_config.write_text(f"[safe]\n{lines}")

    def check(self) -> None:
        """InputError where a file that the settings name is not there."""
        remote = self.remote
        if remote.scheme == "ssh" and remote.known_hosts is None:
            raise InputError(
                "--git: over ssh, the keys of the host have to be known.",
                "Name a file with them by BOE_GIT_KNOWN_HOSTS; `ssh-keyscan HOST` "
                "prints them: compare them with those that the host publishes.",
            )
        for variable, path in (
            ("BOE_GIT_SSH_KEY", remote.ssh_key),
            ("BOE_GIT_KNOWN_HOSTS", remote.known_hosts),
            ("BOE_GIT_ALLOWED_SIGNERS", remote.allowed_signers),
            ("BOE_GIT_GPG_HOME", remote.gpg_home),
        ):
            if path is not None and not os.access(path, os.R_OK):
                raise InputError(f"{variable}: {path} cannot be read.")

    def config(self) -> Mapping[str, str]:
        """The config of git that no call is without."""
        remote = self.remote
        found = {"remote.origin.url": remote.url}
        if remote.scheme == "https" and remote.has_token:
            host = "/".join(remote.url.split("/")[:3])
            found[f"credential.{host}.helper"] = _HELPER
        if remote.allowed_signers is not None:
            found["gpg.ssh.allowedSignersFile"] = str(remote.allowed_signers)
        if remote.gpg_home is not None:
            found["gpg.program"] = "gpg"
        return found

    def standing(self) -> Mapping[str, str]:
        """Variables of every call."""
        found = {}
        if self.remote.gpg_home is not None:
            found["GNUPGHOME"] = str(self.remote.gpg_home)
        if self.remote.scheme == "ssh":
            found["GIT_SSH_COMMAND"] = shlex.join(self._ssh())
            found["GIT_SSH_VARIANT"] = "ssh"
        if self.remote.scheme == "file":
            found["GIT_CONFIG_GLOBAL"] = str(self.local_config)
        return found

    def variables(self) -> Mapping[str, str]:
        """Variables of a call to the far side, as they are now."""
        remote = self.remote
        if remote.scheme != "https" or not remote.has_token:
            return {}
        token = self.token()
        return {"BOE_ASKED_USERNAME": remote.username, "BOE_ASKED_TOKEN": token}

    def _ssh(self) -> list[str]:
        options = {
            "BatchMode": "yes",
            "StrictHostKeyChecking": "yes",
            "UserKnownHostsFile": _ssh_path(self.remote.known_hosts),
            "GlobalKnownHostsFile": os.devnull,
            "ForwardAgent": "no",
            "ClearAllForwardings": "yes",
            "PermitLocalCommand": "no",
            "ConnectTimeout": "20",
            "ServerAliveInterval": "15",
        }
        command = ["ssh", "-F", os.devnull]
        if self.remote.ssh_key is not None:
            options["IdentitiesOnly"] = "yes"
            options["IdentityAgent"] = "none"
            command += ["-i", str(self.remote.ssh_key)]
        for name, value in options.items():
            command += ["-o", f"{name}={value}"]
        return command

    def told(self, complaint: str) -> str:
        """What git complained of, in one line, without any secret."""
        lines = [
            line.removeprefix("fatal: ").removeprefix("error: ").strip()
            for line in complaint.splitlines()
            if not _NOISE.match(line)
        ]
        told = "; ".join(dict.fromkeys(lines[-4:]))
        told = "".join(each if each.isprintable() else "?" for each in told)
        return self.redact(_CREDENTIAL.sub("***@", told))

    def advice(self, told: str) -> str:
        return next((todo for sign, todo in _ADVICE.items() if sign in told), "")


def _quoted(text: str) -> str:
    """As a value in a config file of git."""
    return '"' + text.replace("\\", r"\\").replace('"', r"\"") + '"'


def _ssh_path(path: object) -> str:
    """A path as an option of ssh reads it: % and spaces mean something there."""
    text = str(path).replace("%", "%%")
    return f'"{text}"' if " " in text else text
