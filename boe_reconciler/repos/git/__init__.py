"""A branch of a git repo: asked for its head, mirrored, and read without a work tree."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent import futures
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from functools import partial

from boe_reconciler.core.errors import BoeError, Refused, Temporary
from boe_reconciler.core.remote import commit_of
from boe_reconciler.core.retry import delay
from boe_reconciler.core.snapshot import History, Snapshot
from boe_reconciler.repos.git.access import Access
from boe_reconciler.repos.git.mirror import Mirror
from boe_reconciler.repos.git.objects import Contents, Damaged
from boe_reconciler.repos.git.program import Git
from boe_reconciler.repos.git.reading import Files, Reader, content_of

#: Seconds after which a look at the far side that has no answer yet goes on by itself.
PATIENCE = 5.0
#: The wait after a first failure, and the longest one.
_FIRST, _LONGEST = timedelta(seconds=5), timedelta(minutes=5)


def create(git: Git, access: Access, random: Callable[[], float]) -> GitRepo:
    """InputError where git, or what the settings name, cannot be used."""
    access.check()
    git.check()
    access.prepare()
    return GitRepo(Mirror(git=git, access=access), random)


class GitRepo:
    """One process at a time may use it: whoever has `serve.lock`."""

    def __init__(self, mirror: Mirror, random: Callable[[], float]) -> None:
        self._mirror = mirror
        self._remote = mirror.access.remote
        self._clock = mirror.git.clock
        self._random = random
        self._contents = Contents(git=mirror.git)
        self._reader = Reader(git=mirror.git, contents=self._contents)
        self._is_ready = False
        self._preparing = threading.Lock()
        #: The head over there, if it was asked for since the last snapshot.
        self._asked: str | None = None
        #: The head that was looked at last.
        self._seen: str | None = None
        self._failures = 0
        #: When to ask next, on the monotonic clock.
        self._next = self._clock.monotonic()
        self._hurried = threading.Event()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="git")
        #: A look that goes on, and whether somebody was in a hurry for it.
        self._looking: tuple[Future[str], bool] | None = None

    def wait(self, timeout: float) -> bool:
        """True where the head moved, where it can be had again, and after `hurry`.

        A far side that does not answer, or that sends for long, holds nobody up for long:
        whoever waits again waits for the same answer.
        """
        if self._looking is None:
            pause = self._next - self._clock.monotonic()
            hurried = self._hurried.wait(max(0, min(timeout, pause)))
            if pause > timeout and not hurried:
                return False
            self._hurried.clear()
            self._looking = self._pool.submit(self._tried, self._look), hurried
        look, hurried = self._looking
        if not futures.wait([look], PATIENCE).done:
            return False
        self._looking = None
        self._asked = look.result()
        return hurried or self._failures > 0 or self._asked != self._seen

    def hurry(self) -> None:
        self._hurried.set()

    def interrupt(self) -> None:
        self._mirror.git.interrupted.set()

    def snapshot(self) -> Snapshot:
        """The head as it is over there. Refused where it has to be signed and is not."""
        try:
            return self._snapshot()
        except Damaged:
            self._start_anew()
        try:
            return self._snapshot()
        except Damaged as error:
            raise self._damaged(error) from error

    def last(self) -> Snapshot:
        """The head that was fetched last; where there is none, as `snapshot`."""
        try:
            self._prepare()
            commit = self._mirror.head()
            if commit:
                return self._verified(commit)
        except Damaged:
            self._start_anew()
        return self.snapshot()

    def close(self) -> None:
        self._pool.shutdown(wait=False)
        self._contents.close()

    # --- The far side

    def _snapshot(self) -> Snapshot:
        self._end_look()
        commit = self._tried(self._fetch)
        self._failures, self._seen = 0, commit
        return self._verified(commit)

    def _end_look(self) -> None:
        """One git at a time talks to the far side; this one asks anew."""
        if self._looking:
            futures.wait([self._looking[0]])
            self._looking = None

    def _prepare(self) -> None:
        with self._preparing:
            if not self._is_ready:
                self._mirror.prepare()
                self._is_ready = True

    def _ask(self) -> str:
        self._prepare()
        return self._mirror.ask_head()

    def _look(self) -> str:
        """The head over there, which is fetched if it is new."""
        head = self._ask()
        if head != self._seen:
            # Whoever reads a mirror that is damaged finds that, and mends it.
            with suppress(Damaged):
                self._bring(head)
        return head

    def _bring(self, head: str) -> None:
        if self._mirror.head() != head:
            self._mirror.fetch()

    def _fetch(self) -> str:
        """The head over there, once it is here as well."""
        head = self._asked or self._ask()
        self._asked = None
        self._bring(head)
        found = self._mirror.head()
        if found is None:
            raise Damaged("git fetched nothing")
        return found

    def _tried(self, reach: Callable[[], str]) -> str:
        """What reaching the far side gives; it says when to do so again."""
        try:
            found = reach()
        except BoeError:
            self._failures += 1
            most = max(_LONGEST, self._remote.poll)
            pause = delay(
                self._failures, initial=_FIRST, most=most, random=self._random()
            )
            self._next = self._clock.monotonic() + pause.total_seconds()
            raise
        spread = 0.9 + self._random() / 5
        self._next = (
            self._clock.monotonic() + self._remote.poll.total_seconds() * spread
        )
        return found

    def _verify(self, commit: str) -> None:
        why = self._mirror.verify(commit)
        if why:
            raise Refused(
                self._revision(commit),
                "BOE195",
                f"the commit {commit} is not signed by a key that is listed: {why}",
                "sign it with a listed key, or list the key; then push again",
            )

    # --- This side

    def _verified(self, commit: str) -> Snapshot:
        if self._remote.signed:
            self._verify(commit)
        return self._of(commit, self._reader.read(commit))

    def _of(self, commit: str, files: Files) -> Snapshot:
        return Snapshot(
            revision=self._revision(commit),
            files=files.files,
            unreadable=files.unreadable,
            read=partial(self._content, files),
            since=partial(self._since, commit),
        )

    def _revision(self, commit: str) -> str:
        return f"{self._remote.branch}@sha1:{commit}"

    def _content(self, files: Files, path: str) -> bytes:
        try:
            return content_of(self._contents, files, path)
        except Damaged as error:
            raise self._damaged(error) from error

    def _since(self, commit: str, revision: str) -> History | None:
        """None: of another branch, or of no git repo."""
        before = commit_of(revision)
        if before is None or before[0] != self._remote.branch:
            return None
        try:
            return self._mirror.history(before[1], commit)
        except Damaged as error:
            raise self._damaged(error) from error

    def _start_anew(self) -> None:
        self._end_look()
        self._contents.close()
        self._mirror.remove()
        self._is_ready = False

    def _damaged(self, error: Damaged) -> Temporary:
        """It cannot be used as it is: the next look fetches all of it again."""
        self._start_anew()
        self._failures += 1
        why = self._mirror.access.told(str(error))
        folder = self._mirror.git.folder
        return Temporary("git_damaged", f"the mirror {folder} is damaged: {why}")
