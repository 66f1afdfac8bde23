"""Composition root: Settings -> a wired App. Knows the engine and the backends."""

from __future__ import annotations

import gc
import importlib
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from boe_reconciler.backends import Backends
from boe_reconciler.clock import SystemClock
from boe_reconciler.core.errors import BoeError, InputError
from boe_reconciler.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from boe_reconciler.blobs.folder import FolderBlobs
    from boe_reconciler.core.checks import Check
    from boe_reconciler.core.facts import Fact, Observe
    from boe_reconciler.core.forge import ForgeAt
    from boe_reconciler.core.plan.online import Question
    from boe_reconciler.core.ports import (
        Clock,
        Destination,
        Forge,
        Ledger,
        Mailbox,
        Repo,
    )
    from boe_reconciler.core.remote import GitRemote
    from boe_reconciler.core.snapshot import Snapshot
    from boe_reconciler.engine.backup import Manifest
    from boe_reconciler.engine.executor import Executor
    from boe_reconciler.engine.hearing import Hearer
    from boe_reconciler.engine.lock import ServeLock
    from boe_reconciler.engine.reconciler import Reconciler
    from boe_reconciler.engine.sweeper import Sweeper
    from boe_reconciler.engine.telling import Postman, Send, Teller
    from boe_reconciler.engine.troubles import TroubleTeller
    from boe_reconciler.engine.vitals import Vitals
    from boe_reconciler.notices.pings import Pings
    from boe_reconciler.notices.systemd import Systemd
    from boe_reconciler.repos.git.revisions import Revisions
    from boe_reconciler.secrets.references import Secrets

#: Which forge -> the module that reaches it, imported on use.
FORGES = {
    "github": "boe_reconciler.forges.github",
    "gitlab": "boe_reconciler.forges.gitlab",
}


#: Parts of an App that are closed, in this order.
_OPENED = (
    *("hearer", "troubles", "postmen", "pings", "repo", "git_repo", "_revisions"),
    *("backends", "ledger", "serve_lock"),
)
#: Seconds that a secret or a Connection may take to answer `boe validate --online`.
ANSWER_WITHIN = 30.0


class App:
    """What the doors use; each part is made when it is first asked for."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock | None = None,
        *,
        looks_only: bool = False,
    ) -> None:
        """With `looks_only` the state folder may be that of any Environment."""
        self.settings = settings
        self.looks_only = looks_only
        self.clock = clock or SystemClock()
        #: Told of everything that the engine does.
        self.observers: list[Observe] = []
        #: Files of a plan that is not served, by their sha256.
        self.at_hand: Mapping[str, bytes] = {}
        #: Told which version the ledger was of, before it is upgraded: that takes a while.
        self.upgrading: Callable[[str], None] = lambda _: None
        self._closed = False

    @cached_property
    def state(self) -> Path:
        """The state folder, made on first use, for its owner alone."""
        state = self.settings.state
        try:
            state.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise InputError(
                f"The state folder {state} cannot be made: {error.strerror}.",
                "Give another one with --state or BOE_STATE.",
            ) from error
        return state

    @property
    def has_state(self) -> bool:
        return (self.settings.state / "ledger.sqlite").exists()

    @cached_property
    def ledger(self) -> Ledger:
        from boe_reconciler.ledgers import sqlite

        ledger = sqlite.create(self.state / "ledger.sqlite", self.upgrading)
        try:
            if self.settings.env or not self.looks_only:
                _check_environment(ledger.environment(), self.settings)
        except InputError:
            ledger.close()
            raise
        return ledger

    @cached_property
    def blobs(self) -> FolderBlobs:
        from boe_reconciler.blobs import folder

        return folder.create(self.state / "blobs")

    @cached_property
    def repo(self) -> Repo:
        from boe_reconciler.repos.folder import FolderRepo

        return FolderRepo(self.settings.root)

    @cached_property
    def git_repo(self) -> Repo | None:
        """What is served instead of the folder; to use with `serve_lock` alone."""
        remote = self.settings.git
        if remote is None:
            return None
        import random

        from boe_reconciler.repos import git
        from boe_reconciler.repos.git.access import Access
        from boe_reconciler.repos.git.program import Git

        access = Access(
            remote=remote,
            token=partial(_token, self.secrets, remote),
            redact=self.redact,
            local_config=self.state / "git.config",
        )
        program = Git(
            folder=self.state / "repo.git",
            clock=self.clock,
            environment=self.settings.environment,
            config=access.config(),
            variables=access.standing(),
        )
        return git.create(program, access, random.random)

    @cached_property
    def _revisions(self) -> Revisions:
        from boe_reconciler.repos.git import revisions

        remote, mirror = self.settings.git, self.settings.state / "repo.git"
        clock, environment = self.clock, self.settings.environment
        if remote is None:
            return revisions.around(self.settings.root, clock, environment)
        return revisions.mirrored(mirror, remote.branch, clock, environment)

    def snapshot_of(self, name: str) -> Snapshot:
        """The folder as it is in a commit of the git repo around it.

        With the setting `git`, a commit of what was fetched instead. Nothing is fetched
        or written. InputError where the name means no commit.
        """
        return self._revisions.snapshot(name)

    def snapshot_before(self, name: str) -> Snapshot:
        """As `snapshot_of`, where HEAD left `name`: what a pull request compares with."""
        return self.snapshot_of(self._revisions.fork(name))

    @cached_property
    def top(self) -> Path | None:
        """The root of the git repo around the folder; None: there is none."""
        from boe_reconciler.repos.git.revisions import top_of

        return top_of(self.settings.root)

    @cached_property
    def author(self) -> str | None:
        """The address of who works here, as git knows it."""
        from boe_reconciler.repos.git.author import author_of

        return author_of(self.settings.root)

    @property
    def place(self) -> str:
        """The folder as that repo names it: "", or "reports/"."""
        root = self.settings.root
        below = root.relative_to(self.top or root).as_posix()
        return "" if below == "." else f"{below}/"

    @property
    def served_repo(self) -> Repo:
        return self.git_repo or self.repo

    @cached_property
    def secrets(self) -> Secrets:
        from boe_reconciler.secrets import references

        return references.create(
            environment=self.settings.environment,
            data_root=self.settings.data_root,
            sops_key_file=self.settings.sops_age_key_file,
            read_blob=self._encrypted,
        )

    def _encrypted(self, sha256: str) -> bytes:
        """An encrypted file: of the plan at hand, else of the store."""
        return self.at_hand.get(sha256) or self.blobs.read(sha256)

    @cached_property
    def backends(self) -> Backends:
        from boe_reconciler.transforms.arrow import keep_pandas_out

        keep_pandas_out()
        return Backends(settings=self.settings, secrets=self.secrets, clock=self.clock)

    def ask(
        self, questions: Sequence[Question]
    ) -> Iterator[tuple[Question, BoeError | None]]:
        """Secrets and Connections that are asked, as a run would: see `engine.asking`."""
        from boe_reconciler.engine.asking import Asking

        def answer(question: Question) -> None:
            if question.is_secret:
                self.secrets.resolve(question.what)
            else:
                self.backends.check(question.what)

        gc.enable()
        _ = self.backends  # made once, not by several threads
        asking = Asking(answer=answer, clock=self.clock, seconds=ANSWER_WITHIN)
        for question, error in asking.all(questions):
            yield question, error and self._redacted(error)

    def _redacted(self, error: BoeError) -> BoeError:
        return BoeError(self.redact(error.message), self.redact(error.help))

    def redact(self, text: str) -> str:
        """The text without the value of any secret that was resolved so far."""
        secrets: Secrets | None = self.__dict__.get("secrets")
        return secrets.redact(text) if secrets else text

    @cached_property
    def serve_lock(self) -> ServeLock:
        from boe_reconciler.engine.lock import ServeLock

        return ServeLock(self.state)

    def who_serves(self) -> str | None:
        """The process that holds `serve.lock`; nothing is made or taken for it."""
        from boe_reconciler.engine.lock import ServeLock

        return ServeLock(self.settings.state).seen()

    def executor(self, only: list[str] | None = None) -> Executor:
        """Needs `serve_lock`: it clears away what earlier processes left unfinished."""
        import random
        import socket

        from boe_reconciler.engine.executor import Executor
        from boe_reconciler.engine.job import Tools
        from boe_reconciler.engine.runner import Runner

        gc.enable()
        _ = self.pings
        self.observers.append(self.backends.kept.observe)
        scratch = self.state / "scratch"
        shutil.rmtree(scratch, ignore_errors=True)
        self.blobs.sweep_incoming()
        tools = Tools(
            ledger=self.ledger,
            blobs=self.blobs,
            backends=self.backends,
            clock=self.clock,
            data_root=self.settings.data_root,
            scratch=scratch,
            # Spreads retries; nothing secret depends on it.
            random=random.random,
            observe=self.observe,
            version=installed_version(),
            listed=self.suppressed,
        )
        return Executor(
            ledger=self.ledger,
            runner=Runner(tools),
            clock=self.clock,
            worker=f"{socket.gethostname()}:{os.getpid()}",
            workers=self.settings.workers,
            only=only,
            observe=self.observe,
            sweeper=self._sweeper() if only is None else None,
        )

    def suppressed(self, address: str) -> str | None:
        """Why an address gets no mail any more; None: it does."""
        from boe_reconciler.core.suppression import why_none

        if not self.has_state:
            return None
        return why_none(self.ledger.suppressions(address))

    def _sweeper(self) -> Sweeper:
        from boe_reconciler.engine.lock import SweepLock
        from boe_reconciler.engine.sweeper import Sweeper

        return Sweeper(
            ledger=self.ledger,
            blobs=self.blobs,
            clock=self.clock,
            lock=SweepLock(self.state),
            observe=self.observe,
        )

    def back_up(self, target: Path) -> tuple[Manifest, Sequence[str]]:
        """See `engine.backup.back_up`; InputError while there is no state folder."""
        from boe_reconciler.engine.backup import Origin, back_up
        from boe_reconciler.ledgers.sqlite import file

        path = self.settings.state / "ledger.sqlite"
        if not self.has_state:
            raise InputError(
                f"There is nothing in {self.settings.state}.",
                "Nothing has run here yet.",
            )
        origin = Origin(
            state=self.state,
            copy_ledger=lambda copy: file.copy(path, copy),
            blobs=self.blobs,
            clock=self.clock,
            version=installed_version(),
        )
        return back_up(origin, target)

    def restore(
        self, source: Path, *, catch_up: bool
    ) -> tuple[Manifest, Sequence[Check]]:
        """See `engine.backup.restore`; with what the doctor says of it."""
        from boe_reconciler.engine.backup import restore
        from boe_reconciler.ledgers.sqlite import file

        def settle(folder: Path, manifest: Manifest) -> Sequence[Check]:
            if file.look(folder / "ledger.sqlite", deep=False).version is None:
                raise InputError(
                    f"{source} cannot be restored: no ledger of BOE is in it.",
                    "Take another one: `boe backup` makes them.",
                )
            inside = App(replace(self.settings, state=folder), self.clock)
            now = self.clock.now()
            try:
                inside.ledger.restored(manifest.made, catch_up=catch_up, now=now)
                return inside.examine()
            finally:
                inside.close()

        return restore(source, self.settings.state, settle)

    def examine(self, *, deep: bool = False) -> Sequence[Check]:
        """What `boe doctor` finds."""
        from boe_reconciler.engine.doctor import Patient, examine
        from boe_reconciler.ledgers.sqlite import file

        path = self.settings.state / "ledger.sqlite"
        patient = Patient(
            state=self.settings.state,
            ledger_path=path,
            look=lambda: file.look(path, deep=deep),
            ledger=lambda: self.ledger,
            blobs=lambda: self.blobs,
            mailboxes=self._maildirs,
            holder=self.who_serves(),
            version=installed_version(),
            now=self.clock.now(),
            deep=deep,
        )
        return examine(patient)

    def reconciler(
        self,
        *,
        strict: bool = False,
        allow_removals: int = 0,
        teller: Teller | None = None,
    ) -> Reconciler:
        from boe_reconciler.engine.reconciler import Reconciler

        return Reconciler(
            repo=self.served_repo,
            ledger=self.ledger,
            blobs=self.blobs,
            clock=self.clock,
            strict=strict,
            allow_removals=allow_removals,
            observe=self.observe,
            teller=teller,
            environment=self.settings.env,
        )

    @cached_property
    def teller(self) -> Teller:
        """For the one process that serves."""
        from boe_reconciler.core.forge import context_of
        from boe_reconciler.engine.telling import Teller

        return Teller(
            ledger=self.ledger,
            clock=self.clock,
            postmen=self.postmen,
            remind=self.settings.notice_remind,
            context=context_of(self.settings.env),
            target_url=self.settings.forge_target_url,
            observe=self.observe,
        )

    @cached_property
    def troubles(self) -> TroubleTeller:
        """For the one process that serves."""
        from boe_reconciler.core.listeners import Listeners
        from boe_reconciler.engine.troubles import TroubleTeller

        webhook = self.settings.notice_url is not None
        return TroubleTeller(
            ledger=self.ledger,
            clock=self.clock,
            postmen=self.postmen,
            remind=self.settings.notice_remind,
            listeners=lambda served, now: Listeners(
                served=served, today=now.date(), webhook=webhook
            ),
            redact=self.redact,
            observe=self.observe,
        )

    @cached_property
    def hearer(self) -> Hearer:
        """For the one process that serves."""
        from boe_reconciler.engine.hearing import Hearer

        return Hearer(
            ledger=self.ledger,
            clock=self.clock,
            mailboxes=self._mailboxes,
            observe=self.observe,
        )

    def _maildirs(self) -> Mapping[str, Mailbox]:
        """Those that are looked at without a network."""
        return self._mailboxes("smtp")

    def _mailboxes(self, *types: str) -> Mapping[str, Mailbox]:
        """Of the Connections that are served now; of these types alone, if there are."""
        from boe_reconciler.core.listeners import Listeners

        served = self.ledger.served()
        known = Listeners(served=served, today=self.clock.now().date())
        boxes = {
            f"Connection {name}": self.backends.mailbox(spec)
            for name, spec in known.mailboxes()
            if not types or spec.type in types
        }
        return {at: box for at, box in boxes.items() if box is not None}

    @cached_property
    def postmen(self) -> Sequence[Postman]:
        """One for each channel, at work until the App is closed."""
        postmen = [self._postman(name, send) for name, send in self._channels()]
        for one in postmen:
            one.start()
        return postmen

    def _postman(self, channel: str, send: Send) -> Postman:
        import random

        from boe_reconciler.core.notices import MAIL, OPS
        from boe_reconciler.engine.telling import Postman

        return Postman(
            channel=channel,
            apart=channel in (MAIL, OPS),
            send=send,
            ledger=self.ledger,
            clock=self.clock,
            random=random.random,
            observe=self.observe,
        )

    def _channels(self) -> Iterator[tuple[str, Send]]:
        """Those that are set up, and how each sends."""
        from boe_reconciler.core.forge import CommitStatus
        from boe_reconciler.core.notices import FORGE, MAIL, OPS, WEBHOOK
        from boe_reconciler.notices import distributions

        if self.settings.forge is not None:
            forge = self.forge(self.settings.forge)
            yield FORGE, lambda owed: forge.report(owed.key, CommitStatus(**owed.body))
        if self.settings.notice_url is not None:
            from boe_reconciler.notices import webhook

            yield WEBHOOK, webhook.create(partial(self.secret, "BOE_NOTICE_URL"))
        yield MAIL, distributions.mails(self.reach)
        yield OPS, distributions.hooks(self.reach)

    def reach(self, kind: str, connection: str | None) -> tuple[Destination, Any]:
        """A destination for notices, with its Connection as it is served now."""
        from boe_reconciler.core.listeners import Listeners

        served = self.ledger.served()
        known = Listeners(served=served, today=self.clock.now().date())
        found = known.reached_through(connection)
        policy = known.policy
        made = self.backends.messenger(kind, found, policy, self.blobs)
        return made, found.get(connection or "")

    def secret(self, at: PurePath | str) -> str:
        """What a setting refers to, by file or variable."""
        return _secret(self.secrets, at)

    def forge(self, at: ForgeAt) -> Forge:
        made: Forge = importlib.import_module(FORGES[at.kind]).create(
            at,
            token=partial(_token, self.secrets, at),
            redact=self.redact,
            clock=self.clock,
        )
        return made

    @cached_property
    def vitals(self) -> Vitals:
        """Whether it lives and works, from when it is first asked for."""
        from boe_reconciler.engine.vitals import Vitals

        vitals = Vitals(clock=self.clock)
        self.observers.append(vitals.observe)
        return vitals

    @cached_property
    def pings(self) -> Pings:
        from boe_reconciler.notices.pings import Pings

        secrets = self.backends.secrets
        pings = Pings(
            resolve=lambda to: to if isinstance(to, str) else secrets.resolve(to),
            observe=self.observe,
            clock=self.clock,
        )
        self.observers.append(pings.observe)
        return pings

    @cached_property
    def systemd(self) -> Systemd | None:
        """None where no systemd waits for words of ours."""
        from boe_reconciler.notices import systemd

        found = systemd.create(self.settings.environment)
        if found is not None:
            self.observers.append(found.observe)
        return found

    def observe(self, fact: Fact) -> None:
        """Whatever becomes of an observer, the engine goes on."""
        for one in self.observers:
            try:
                one(fact)
            except Exception:
                import logging

                logging.getLogger(__name__).exception("observer_failed")

    def close(self) -> None:
        """Close what was opened, in the reverse order of use; once."""
        if self._closed:
            return
        self._closed = True
        for name in _OPENED:
            part = self.__dict__.get(name)
            if part is not None:
                self._close(name, part)

    def _close(self, name: str, part: Any) -> None:
        if name == "serve_lock":
            part.release()
        elif name == "postmen":
            from boe_reconciler.engine.telling import dismiss

            dismiss(part, self.clock)
        else:
            part.close()


def _check_environment(served: str | None, settings: Settings) -> None:
    """A state folder is that of one Environment, or of none, for good."""
    if served is None or served == (settings.env or ""):
        return
    here = f"the Environment {served}" if served else "no Environment"
    asked = f"--env {settings.env}" if settings.env else "no --env"
    same = f"with --env {served}" if served else "without --env (and BOE_ENV)"
    raise InputError(
        f"The state folder {settings.state} serves {here}, and this command has {asked}.",
        f"Run it {same}, or give another folder with --state.",
    )


def _token(secrets: Secrets, of: GitRemote | ForgeAt) -> str:
    return _secret(secrets, of.token_file or of.token_variable or "")


def _secret(secrets: Secrets, at: PurePath | str) -> str:
    """The value of a file or a variable now; it is redacted everywhere from now on."""
    from boe_reconciler.core.resources.connection import EnvSecret, FileSecret

    if isinstance(at, str):
        return secrets.resolve(EnvSecret(env=at))
    return secrets.resolve(FileSecret(file=str(at)))


def installed_version() -> str:
    from importlib.metadata import version

    return version("boe-reconciler")
