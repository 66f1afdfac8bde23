"""Any commit of a git repo that is on this machine: looked at, and nothing written."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from boe_reconciler.core.errors import InputError
from boe_reconciler.core.ports import Clock
from boe_reconciler.core.remote import commit_of
from boe_reconciler.core.snapshot import History, Snapshot
from boe_reconciler.repos.git.mirror import HERE, history
from boe_reconciler.repos.git.objects import FOLDER, Contents, Damaged, list_tree
from boe_reconciler.repos.git.program import Git
from boe_reconciler.repos.git.reading import Files, Reader, content_of

#: The tree that holds nothing; every repo has it.
_EMPTY = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
#: What names no branch, and would not tell which commit it was.
_BARE_ID = re.compile("[0-9a-f]{4,64}")
#: Nothing is fetched, whatever the repo's own config says.
_OFFLINE = {"GIT_ALLOW_PROTOCOL": "none"}
_DEEPEN = (
    "The clone is shallow, it lacks the older commits: `git fetch --unshallow`; in "
    "GitHub Actions `fetch-depth: 0`, in GitLab CI `GIT_DEPTH: 0`."
)


def around(folder: Path, clock: Clock, environment: Mapping[str, str]) -> Revisions:
    """Of the git repo that `folder` is in. InputError where there is none, or no git.

    It is found as git would find it, but for whose it is: none of the calls that are
    made over it starts a program that its config could name.
    """
    if _is_bare(folder):
        raise InputError(
            f"{folder} is a bare git repo: it has no files.",
            "Clone it, and give the clone with -C.",
        )
    top = top_of(folder)
    if top is None:
        raise InputError(
            f"{folder} is in no git repo, so there are no revisions.",
            "Leave them out to look at the files alone, or give a clone with -C.",
        )
    git = Git(
        folder=top / ".git", clock=clock, environment=environment, variables=_OFFLINE
    )
    git.check()
    return Revisions(git=git, below=folder.relative_to(top).as_posix())


def top_of(folder: Path) -> Path | None:
    """The root of the clone that an absolute folder is in; None: it is in none."""
    inside = (each for each in (folder, *folder.parents) if (each / ".git").exists())
    return next(inside, None)


def mirrored(
    folder: Path, branch: str, clock: Clock, environment: Mapping[str, str]
) -> Revisions:
    """Of what was fetched into a mirror. InputError where nothing was."""
    if not _is_bare(folder):
        raise InputError(
            f"Nothing was fetched into {folder} yet.",
            "`boe run` does that; or leave out BOE_GIT to look at a clone.",
        )
    git = Git(folder=folder, clock=clock, environment=environment, variables=_OFFLINE)
    git.check()
    return Revisions(git=git, aliases={branch: HERE, "HEAD": HERE})


def _is_bare(folder: Path) -> bool:
    parts = ("HEAD", "objects", "refs")
    return all((folder / part).exists() for part in parts)


@dataclass(kw_only=True)
class Revisions:
    git: Git
    #: The folder of the git repo that BOE reads; ".": all of it.
    below: str = "."
    #: What is called otherwise here than it is there.
    aliases: Mapping[str, str] = field(default_factory=dict)
    _contents: Contents = field(init=False)
    _reader: Reader = field(init=False)

    def __post_init__(self) -> None:
        self._contents = Contents(git=self.git)
        self._reader = Reader(git=self.git, contents=self._contents)

    def snapshot(self, name: str) -> Snapshot:
        """A branch, a tag, an id, HEAD~3, or a revision as BOE prints it.

        InputError where it means no commit, or where its files cannot be had.
        """
        label, commit = self._commit(name)
        try:
            files = self._reader.read(self._tree(commit))
        except Damaged as error:
            raise self._unusable(error) from error
        return Snapshot(
            revision=f"{label}@sha1:{commit}",
            files=files.files,
            unreadable=files.unreadable,
            read=partial(self._content, files),
            since=partial(self._since, commit),
        )

    def fork(self, name: str) -> str:
        """The commit at which HEAD left `name`. InputError where it is not here."""
        commits = [self._commit(one)[1] for one in (name, "HEAD")]
        done = self.git.run(["merge-base", *commits])
        if done.code:
            told = f"The commit at which HEAD left {name!r} is not here."
            raise InputError(told, self._advice(name))
        return done.out.decode().strip()

    def close(self) -> None:
        self._contents.close()

    # --- Which commit

    def _commit(self, name: str) -> tuple[str, str]:
        """How it is called, and its id."""
        printed = commit_of(name)
        label, wanted = printed or (name, self._here(name))
        found = self._id(wanted)
        if found is None:
            raise InputError(f"There is no commit {name!r} here.", self._advice(name))
        if len(found) == 64:
            raise InputError("The repo has SHA-256 ids: they are not read yet.")
        return "commit" if _BARE_ID.fullmatch(label) else label, found

    def _here(self, name: str) -> str:
        """main~3, by what main is called here."""
        end = next((at for at, sign in enumerate(name) if sign in "~^"), len(name))
        return self.aliases.get(name[:end], name[:end]) + name[end:]

    def _id(self, name: str) -> str | None:
        expression = f"{name}^{{commit}}"
        command = ["rev-parse", "--verify", "--quiet", "--end-of-options", expression]
        found = self.git.run(command).out.decode().strip()
        # ^main is an answer, too: all but what main has.
        return found if re.fullmatch("[0-9a-f]+", found) else None

    def _advice(self, name: str) -> str:
        if self._id(f"refs/remotes/origin/{name}"):
            return f"There is origin/{name}."
        if self._is_shallow():
            return _DEEPEN
        if self._id("HEAD") is None:
            return self._without_head()
        return "`git fetch` what is missing; `git branch --all` lists the branches."

    def _without_head(self) -> str:
        """HEAD leads to a branch without a commit, or what is there is damaged."""
        leads = self.git.run(["symbolic-ref", "--quiet", "HEAD"]).code == 0
        names = self.git.run(["rev-parse", "--verify", "--quiet", "HEAD"]).code == 0
        if leads and not names:
            return "The repo has no commit yet."
        return f"{self.git.folder} is damaged, or no repo: `git fsck` says more."

    def _is_shallow(self) -> bool:
        done = self.git.run(["rev-parse", "--is-shallow-repository"])
        return done.out.strip() == b"true"

    # --- What it holds

    def _tree(self, commit: str) -> str:
        """The folder in that commit; one without it holds nothing."""
        if self.below == ".":
            return commit
        for entry in list_tree(self.git, commit, [self.below], deep=False):
            if entry.mode != FOLDER:
                told = f"{self.below} is no folder in the commit {commit}."
                raise InputError(told, "Name two revisions in which it is one.")
            return entry.blob
        return _EMPTY

    def _content(self, files: Files, path: str) -> bytes:
        try:
            return content_of(self._contents, files, path)
        except Damaged as error:
            raise self._unusable(error) from error

    def _since(self, commit: str, revision: str) -> History | None:
        """None: it is of no git repo, or too far back for a shallow clone."""
        before = commit_of(revision)
        if before is None or self._id(before[1]) is None:
            return None
        try:
            found = history(self.git, before[1], commit)
        except Damaged as error:
            raise self._unusable(error) from error
        return None if not found.descends and self._is_shallow() else found

    def _unusable(self, error: Damaged) -> InputError:
        return InputError(
            f"The git repo {self.git.folder} cannot be read: {error}.",
            "`git fsck` says more; a clone made with --filter lacks files: make one "
            "without it.",
        )
