"""The bare mirror in the state folder: made, fetched into, asked, and made anew."""

from __future__ import annotations

import re
import shutil
from contextlib import suppress
from dataclasses import dataclass

from boe_reconciler.core.errors import InputError, Temporary
from boe_reconciler.core.remote import GitRemote
from boe_reconciler.core.snapshot import History
from boe_reconciler.repos.git.access import Access
from boe_reconciler.repos.git.objects import Damaged
from boe_reconciler.repos.git.program import Done, Git

#: Seconds for one question to the far side, and for a fetch: the first is the longest.
ASK = 60.0
FETCH = 1800.0
#: Seconds for looking through the whole mirror, and for packing it.
CHECK = 600.0
#: Commits whose message is looked at for a trailer, and the largest number in one.
_COMMITS = 10_000
#: The one ref of the mirror, whatever the branch is called: one of another name might
#: be in its way.
HERE = "refs/boe/branch"
_NUMBER = re.compile(r"[0-9]{1,6}")
#: Each value of the trailer on a line of its own.
_TRAILER = "%(trailers:key=Boe-Allow-Removals,valueonly,unfold)"


@dataclass(kw_only=True)
class Mirror:
    git: Git
    access: Access

    def prepare(self) -> None:
        """It exists, and nothing of a killed process is in its way."""
        for lock in self.git.folder.rglob("*.lock"):
            lock.unlink(missing_ok=True)
        found = self.git.run(["rev-parse", "--is-bare-repository"])
        if found.code == 0 and found.out.strip() == b"true":
            return
        self.remove()
        self._local(["init", "--quiet", "--bare", "--template="])

    def remove(self) -> None:
        shutil.rmtree(self.git.folder, ignore_errors=True)

    @property
    def remote(self) -> GitRemote:
        return self.access.remote

    # --- The far side

    def ask_head(self) -> str:
        """The commit that the branch is at, over there: one round trip."""
        command = ["ls-remote", "--exit-code", "origin", self._branch]
        done = self._far(command, ASK)
        if done.code == 2:
            raise Temporary(
                "git_no_branch",
                f"{self.remote.url} has no branch {self.remote.branch}",
                "Name another with --branch.",
            )
        self._check(done)
        lines = done.out.decode(errors="replace").splitlines()
        heads = [line.partition("\t") for line in lines]
        head = next((id_ for id_, _, name in heads if name == self._branch), "")
        if len(head) == 64:
            raise InputError(
                f"{self.remote.url} has SHA-256 ids: they are not read yet."
            )
        if not re.fullmatch("[0-9a-f]{40}", head):
            raise Temporary("git_failed", f"{self.remote.url} answers without a commit")
        return head

    def fetch(self) -> None:
        """All of the branch, with its whole history, and nothing else."""
        flags = ["--quiet", "--no-tags", "--no-write-fetch-head", "--no-auto-gc"]
        refspec = f"+{self._branch}:{HERE}"
        try:
            done = self._far(["fetch", *flags, "origin", refspec], FETCH)
        except Temporary:
            self.prepare()
            raise
        if done.code:
            if not self._is_sound():
                raise Damaged(done.complaint)
            self.prepare()
        self._check(done)
        with suppress(Temporary):  # An untidy mirror is as good.
            self.git.run(["gc", "--auto", "--quiet"], seconds=CHECK)

    def _is_sound(self) -> bool:
        command = ["fsck", "--connectivity-only", "--no-dangling", "--no-progress"]
        return self.git.run(command, seconds=CHECK).code == 0

    def _far(self, command: list[str], seconds: float) -> Done:
        variables = self.access.variables()
        return self.git.run(command, seconds=seconds, variables=variables)

    def _check(self, done: Done) -> None:
        if done.code:
            why = self.access.told(done.complaint)
            detail = f"{self.remote.url} cannot be read: {why}"
            raise Temporary("git_unreachable", detail, self.access.advice(why))

    # --- This side

    @property
    def _branch(self) -> str:
        return f"refs/heads/{self.remote.branch}"

    def head(self) -> str | None:
        """The commit that was fetched last; None: none was."""
        return self._id(f"{HERE}^{{commit}}")

    def _id(self, expression: str) -> str | None:
        command = ["rev-parse", "--verify", "--quiet", "--end-of-options", expression]
        done = self.git.run(command)
        return done.out.decode().strip() if done.code == 0 else None

    def verify(self, commit: str) -> str:
        """Empty where a listed key signed it; else why it is not taken.

        git says "Good signature" of anybody's key, too: its exit code alone counts.
        """
        done = self.git.run(["verify-commit", commit])
        if done.code == 0:
            return ""
        return self.access.told(done.complaint) or "it is not signed"

    def history(self, before: str, after: str) -> History:
        """How one commit came from another, which may be gone."""
        return history(self.git, before, after)

    def _local(self, command: list[str]) -> Done:
        return _sound(self.git.run(command))


def history(git: Git, before: str, after: str) -> History:
    """How one commit came from another, which may be gone."""
    ancestor = git.run(["merge-base", "--is-ancestor", before, after])
    if ancestor.code:
        return History(descends=False, allow_removals=0)
    # Not `log`: a clone's config may let that show signatures, by a program it names.
    shown = [f"--max-count={_COMMITS}", "--encoding=UTF-8", f"--format={_TRAILER}"]
    command = ["rev-list", "--no-commit-header", *shown, f"{before}..{after}"]
    told = _sound(git.run(command)).out.decode(errors="replace")
    # What is no plain number allows nothing: "5 of 400" is not 400.
    lines = (line.strip() for line in told.splitlines())
    numbers = [int(line) for line in lines if _NUMBER.fullmatch(line)]
    return History(descends=True, allow_removals=max(numbers, default=0))


def _sound(done: Done) -> Done:
    if done.code:
        raise Damaged(done.complaint)
    return done
