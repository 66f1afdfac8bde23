"""Real git repos for tests: commits out of plain texts, and a GitRepo over them."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from boe_reconciler.clock import SystemClock
from boe_reconciler.core.remote import GitRemote
from boe_reconciler.core.snapshot import Snapshot
from boe_reconciler.repos import git
from boe_reconciler.repos.git import GitRepo
from boe_reconciler.repos.git.access import Access
from boe_reconciler.repos.git.mirror import HERE
from boe_reconciler.repos.git.program import Git
from boe_reconciler.repos.git.revisions import mirrored

_PERSON = {
    f"GIT_{role}_{what}": value
    for role in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "Ada"), ("EMAIL", "ada@example.com"))
}
QUIET = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}


@dataclass
class Upstream:
    """A bare repo somewhere else, written to without a work tree."""

    path: Path
    #: What the next commit holds: path as git has it -> (mode, content).
    tree: dict[bytes, tuple[str, bytes]] = field(default_factory=dict)
    config: dict[str, str] = field(default_factory=dict)
    #: Whoever asks it for its head has all of it already: nothing is fetched.
    is_mirror: bool = False

    def __post_init__(self) -> None:
        if not self.path.exists():
            self.git("init", "--quiet", "--bare", "-b", "main", str(self.path))

    def git(self, *arguments: str, given: bytes = b"", **variables: str) -> str:
        pairs = [f"{key}={value}" for key, value in self.config.items()]
        options = [part for pair in pairs for part in ("-c", pair)]
        done = subprocess.run(
            ["git", *options, *arguments],
            input=given,
            capture_output=True,
            check=False,
            cwd=self.path if self.path.exists() else self.path.parent,
            env={**os.environ, **QUIET, **_PERSON, **variables},
        )
        assert done.returncode == 0, done.stderr.decode(errors="replace")
        return done.stdout.decode(errors="replace").strip()

    def write(
        self, path: str | bytes, content: str | bytes, mode: str = "100644"
    ) -> None:
        name = path.encode() if isinstance(path, str) else path
        data = content.encode() if isinstance(content, str) else content
        self.tree[name] = (mode, data)

    def link(self, path: str, target: str) -> None:
        self.write(path, target, mode="120000")

    def submodule(self, path: str) -> None:
        self.write(path, "", mode="160000")

    def remove(self, path: str) -> None:
        del self.tree[path.encode()]

    def commit(
        self, message: str = "Change", *, branch: str = "main", parent: str | None = ""
    ) -> str:
        """A commit of the tree on top of the branch (or of `parent`; None: of nothing)."""
        tree = self._tree(b"")
        parent = self.head(branch) if parent == "" else parent
        if self.config:
            parents = ["-p", parent] if parent else []
            commit = self.git("commit-tree", "-S", tree, *parents, "-m", message)
        else:
            above = f"parent {parent}\n" if parent else ""
            person = "Ada <ada@example.com> 1764000000 +0000"
            text = f"tree {tree}\n{above}author {person}\ncommitter {person}\n\n{message}\n"
            commit = self._store("commit", text.encode())
        refs = [f"refs/heads/{branch}", *([HERE] if self.is_mirror else [])]
        for ref in (self.path / name for name in refs):
            ref.parent.mkdir(parents=True, exist_ok=True)
            ref.write_text(f"{commit}\n")
        return commit

    def head(self, branch: str = "main") -> str | None:
        ref = self.path / "refs/heads" / branch
        return ref.read_text().strip() if ref.exists() else None

    def _tree(self, folder: bytes) -> str:
        """Written here, not by git: quickly, and with names that git would refuse."""
        entries: dict[bytes, tuple[str, str]] = {}
        for path, (mode, content) in self.tree.items():
            if not path.startswith(folder):
                continue
            name, slash, _ = path[len(folder) :].partition(b"/")
            if slash and name not in entries:
                entries[name] = ("40000", self._tree(folder + name + b"/"))
            elif not slash:
                entries[name] = (mode, self._blob(mode, content))
        listed = sorted(
            entries.items(),
            key=lambda one: one[0] + (b"/" if one[1][0] == "40000" else b""),
        )
        lines = (
            f"{mode} ".encode() + name + b"\0" + bytes.fromhex(id_)
            for name, (mode, id_) in listed
        )
        return self._store("tree", b"".join(lines))

    def _blob(self, mode: str, content: bytes) -> str:
        return "1" * 40 if mode == "160000" else self._store("blob", content)

    def _store(self, kind: str, content: bytes) -> str:
        whole = f"{kind} {len(content)}\0".encode() + content
        id_ = hashlib.sha1(whole, usedforsecurity=False).hexdigest()
        file = self.path / "objects" / id_[:2] / id_[2:]
        if not file.exists():
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(zlib.compress(whole, 1))
        return id_

    def commit_many(self, files: Mapping[str, str], message: str = "Many") -> str:
        """Thousands of files at once, on top of what the branch holds."""
        parent = self.head()
        start = f"from {parent}\n" if parent else ""
        stream = [
            "commit refs/heads/main\ncommitter Ada <ada@example.com> 0 +0000\n"
            f"data {len(message)}\n{message}\n{start}"
        ]
        for path, text in files.items():
            size = len(text.encode())
            stream.append(f"M 100644 inline {path}\ndata {size}\n{text}\n")
        self.git("fast-import", "--quiet", given="".join(stream).encode())
        return self.head() or ""


def git_in(folder: Path, *arguments: str) -> str:
    """What git says in a work tree."""
    done = subprocess.run(
        ["git", "-C", folder, *arguments],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, **QUIET, **_PERSON},
    )
    return done.stdout.strip()


def a_remote(url: str | Path, **fields: Any) -> GitRemote:
    defaults = {"branch": "main", "poll": timedelta(seconds=1)}
    return GitRemote(url=str(url), **{**defaults, **fields})


def a_repo(
    state: Path,
    remote: GitRemote,
    *,
    clock: Any = None,
    token: str = "",
    environment: Mapping[str, str] | None = None,
) -> GitRepo:
    state.mkdir(exist_ok=True)
    access = Access(
        remote=remote,
        token=lambda: token,
        redact=lambda text: text.replace(token, "***") if token else text,
        local_config=state / "git.config",
    )
    program = Git(
        folder=state / "repo.git",
        clock=clock or SystemClock(),
        environment=os.environ if environment is None else environment,
        config=access.config(),
        variables=access.standing(),
    )
    return git.create(program, access, random=lambda: 0.5)


def read_again(state: Path, name: str) -> Snapshot:
    """A commit of what was fetched, read from scratch and as a whole."""
    revisions = mirrored(state / "repo.git", "main", SystemClock(), os.environ)
    try:
        found = revisions.snapshot(name)
        contents = {path: found.read(path) for path in found.files}
    finally:
        revisions.close()
    return replace(found, read=contents.__getitem__)


def ssh_key(path: Path) -> Path:
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "x", "-f", path],
        check=True,
    )
    return path


def signing(upstream: Upstream, key: Path) -> None:
    upstream.config = {"gpg.format": "ssh", "user.signingkey": str(key)}


needs_keys = pytest.mark.skipif(
    shutil.which("ssh-keygen") is None, reason="ssh-keygen is not installed"
)
