"""What a run uses of each family: the registries, and the Sources that are kept."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import cached_property, partial
from threading import Lock
from typing import TYPE_CHECKING, Any

from boe_reconciler.core.errors import InputError
from boe_reconciler.core.records import dataclass
from boe_reconciler.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

    from boe_reconciler.core.ports import (
        Blobs,
        Cancel,
        Clock,
        Destination,
        Format,
        Mailbox,
        Protection,
        Source,
        Transforms,
    )
    from boe_reconciler.core.resources.connection import ConnectionSpec
    from boe_reconciler.core.resources.others import PolicySpec
    from boe_reconciler.core.spec import RunSpec
    from boe_reconciler.transforms.children import Children

#: The registries: what YAML calls it -> the module that does it, imported on use.
SOURCES = {
    "duckdb": "boe_reconciler.sources.duckdb",
    "sqlite": "boe_reconciler.sources.sqlite",
    "postgres": "boe_reconciler.sources.postgres",
    "sql": "boe_reconciler.sources.sql",
}
FORMATS = {
    "xlsx": "boe_reconciler.formats.xlsx",
    "csv": "boe_reconciler.formats.csv",
    "tsv": "boe_reconciler.formats.tsv",
    "json": "boe_reconciler.formats.json",
    "jsonl": "boe_reconciler.formats.jsonl",
    "parquet": "boe_reconciler.formats.parquet",
    "html": "boe_reconciler.formats.html",
    "pdf": "boe_reconciler.formats.pdf",
    # What a mail shows of a file: no file of its own.
    "preview": "boe_reconciler.formats.preview",
}
#: What carries a password: a format, or the zip around a file.
PASSWORDS = {
    "xlsx": "boe_reconciler.passwords.xlsx",
    "pdf": "boe_reconciler.passwords.pdf",
    "zip": "boe_reconciler.passwords.zip",
}
DESTINATIONS = {
    "local": "boe_reconciler.destinations.local",
    "email": "boe_reconciler.destinations.email",
    "s3": "boe_reconciler.destinations.s3",
    "azure": "boe_reconciler.destinations.azure",
    "gcs": "boe_reconciler.destinations.gcs",
    "sftp": "boe_reconciler.destinations.sftp",
    "webhook": "boe_reconciler.destinations.webhook",
}
#: Where news of mails is read, by the type of their Connection.
MAILBOXES = {
    "smtp": "boe_reconciler.bounces.maildir",
    "ses": "boe_reconciler.bounces.sqs",
}
#: Types of Connection that a destination of another type goes through.
_BEHIND = {"smtp": "email", "ses": "email"}
#: Sources that need no secret: with `isolate` a child reads, else the main process
#: does and hands the rows to the child.
WITHOUT_SECRETS = ("duckdb", "sqlite")
#: What the process that forks children loads once: for small files, and for all else.
PRELOAD_FILES = (
    *FORMATS.values(),
    "boe_reconciler.formats.xlsx.book",
    SOURCES["duckdb"],
    "duckdb",
)
PRELOAD = (
    "pandas",
    "pyarrow.pandas_compat",
    "boe_reconciler.transforms.frames",
    *(SOURCES[name] for name in WITHOUT_SECRETS),
    *PRELOAD_FILES,
)
#: A child needs some memory to do anything at all.
SMALLEST_CHILD = 100_000_000


@dataclass(eq=False, slots=True)
class _Lent:
    """The Source of a Connection as it stands, and the runs that use it."""

    source: Source
    users: int = 0


class Backends:
    """The families a run uses; Sources are kept, one for each Connection."""

    def __init__(self, *, settings: Settings, secrets: Any, clock: Clock) -> None:
        from boe_reconciler.engine.pacing import Paces
        from boe_reconciler.transforms.kept import KeptChildren

        self.settings = settings
        self.secrets = secrets
        self.clock = clock
        self._lent: dict[str, dict[str, _Lent]] = {}
        self._lock = Lock()
        self._paces = Paces(self.clock)
        #: Starts nothing before the first child is needed.
        self.children = self._children(PRELOAD)
        #: So many are kept at a time.
        self._most_kept = min(self.settings.workers, (os.cpu_count() or 1) + 1)
        self.kept = KeptChildren(
            self._children(PRELOAD_FILES), self.settings.data_root, self._most_kept
        )

    def _children(self, preload: Sequence[str]) -> Children:
        from boe_reconciler.transforms.children import Children

        return Children(
            scratch=self._scratch,
            memory=_child_memory(self.settings.child_memory),
            environment=self.settings.environment,
            preload=preload,
        )

    @property
    def _scratch(self) -> Path:
        """For unfinished files; emptied at start."""
        return self.settings.state / "scratch"

    @contextmanager
    def source(self, spec: RunSpec, *, for_file: bool = False) -> Iterator[Source]:
        """The Connection's one Source, for as long as the context lasts.

        With `for_file` a child may read instead, and write its file, too.

        A Connection that was edited gets a new one; the older one is closed when no
        run uses it any more.
        """
        if spec.execution.isolate and spec.connection.type in WITHOUT_SECRETS:
            yield self._isolated_source(spec)
            return
        version = spec.connection.model_dump_json()
        lent = self._lend(spec, version)
        try:
            if for_file:
                yield self._kept_source(spec, lent.source, version)
            else:
                yield lent.source
        finally:
            self._give_back(spec.connection_name, version)

    def _lend(self, spec: RunSpec, version: str) -> _Lent:
        with self._lock:
            versions = self._lent.setdefault(spec.connection_name, {})
            if version not in versions:
                versions[version] = _Lent(self._create(spec.connection))
            # The one that was asked for last is the one that is kept.
            lent = versions[version] = versions.pop(version)
            lent.users += 1
            unused = _drop_unused(versions)
        for source in unused:
            source.close()
        return lent

    def _create(self, connection: ConnectionSpec) -> Source:
        made: Source = importlib.import_module(SOURCES[connection.type]).create(
            connection,
            secrets=self.secrets,
            data_root=self.settings.data_root,
            memory_limit=self.settings.memory_limit,
            scratch=self._scratch if self.settings.state.exists() else None,
        )
        return made

    def check(self, connection: ConnectionSpec) -> None:
        """Whether it answers and takes its secrets; Temporary or Permanent if not.

        A database is asked for one row; a far side as its destination's module does
        it, which leaves nothing there.
        """
        if connection.type not in SOURCES:
            kind = _BEHIND.get(connection.type, connection.type)
            module = importlib.import_module(DESTINATIONS[kind])
            module.check(connection, self.secrets)
            box = self.mailbox(connection)
            if box is not None:
                with closing(box):
                    box.check()
            return
        source = self._create(connection)
        try:
            source.check()
        finally:
            source.close()

    def mailbox(self, connection: ConnectionSpec) -> Mailbox | None:
        """Where news of its mails arrives; None: nowhere."""
        bounces = getattr(connection, "bounces", None)
        if bounces is None:
            return None
        module = importlib.import_module(MAILBOXES[connection.type])
        if connection.type == "smtp":
            made: Mailbox = module.create(self.settings.data_root / bounces.maildir)
        else:
            made = module.create(connection, self.secrets)
        return made

    def _give_back(self, name: str, version: str) -> None:
        with self._lock:
            versions = self._lent[name]
            versions[version].users -= 1
            unused = _drop_unused(versions)
        for source in unused:
            source.close()

    def _isolated_source(self, spec: RunSpec) -> Source:
        from boe_reconciler.transforms.isolated import IsolatedSource

        made: Source = IsolatedSource(
            children=self.children,
            module=SOURCES[spec.connection.type],
            connection=spec.connection,
            data_root=self.settings.data_root,
        )
        return made

    def _kept_source(self, spec: RunSpec, inner: Source, version: str) -> Source:
        """A DuckDB that is only read: what a child may open beside others."""
        from boe_reconciler.transforms.small import KeptSource

        limit, connection = self._memory_of_kept, spec.connection
        if limit is None or connection.type != "duckdb" or not connection.read_only:
            return inner
        return KeptSource(
            kept=self.kept,
            inner=inner,
            module=SOURCES[spec.connection.type],
            connection=spec.connection,
            version=version,
            data_root=self.settings.data_root,
            memory_limit=limit,
        )

    @cached_property
    def _memory_of_kept(self) -> str | None:
        """All of them together have what a Connection has; None: only DuckDB knows that."""
        from boe_reconciler.core.resources.types import parse_size

        try:
            most = parse_size(self.settings.memory_limit) // self._most_kept
        except ValueError:
            return None
        return f"{min(most, self.children.memory // 2)}B"

    def format(self, name: str, *, isolate: bool = False) -> Format:
        """With `isolate` its files are written by a child, small ones as it comes."""
        from boe_reconciler.transforms.isolated import IsolatedFormat
        from boe_reconciler.transforms.small import KeptFormat

        module = FORMATS[name]
        made: Format = importlib.import_module(module).create()
        if isolate:
            return IsolatedFormat(self.children, module, made)
        return KeptFormat(self.kept, module, made)

    def protection(self, kind: str) -> Protection:
        made: Protection = importlib.import_module(PASSWORDS[kind]).create()
        return made

    @property
    def transforms(self) -> Transforms:
        from boe_reconciler.transforms.isolated import ChildTransforms

        return ChildTransforms(children=self.children)

    def destination(self, kind: str, spec: RunSpec, blobs: Blobs) -> Destination:
        from boe_reconciler.core.ports import Means

        means = Means(
            connections=spec.connections,
            secrets=self.secrets,
            blobs=blobs,
            clock=self.clock,
            files=spec.files,
            local_root=self.settings.local_root,
            pace=partial(self._pace, spec.connections),
            local_roots=spec.local_roots,
            hosts=spec.hosts,
            private_addresses=spec.private_addresses,
        )
        made: Destination = importlib.import_module(DESTINATIONS[kind]).create(means)
        return made

    def messenger(
        self,
        kind: str,
        connections: Mapping[str, ConnectionSpec],
        policy: PolicySpec,
        blobs: Blobs,
    ) -> Destination:
        """A destination that tells people of troubles, within the same bounds."""
        from boe_reconciler.core.ports import Means

        means = Means(
            connections=connections,
            secrets=self.secrets,
            blobs=blobs,
            clock=self.clock,
            local_root=self.settings.local_root,
            pace=partial(self._pace, connections),
            hosts=policy.allow.hosts,
            private_addresses=policy.allow.private_addresses,
        )
        made: Destination = importlib.import_module(DESTINATIONS[kind]).create(means)
        return made

    def _pace(
        self, connections: Mapping[str, ConnectionSpec], name: str, cancel: Cancel
    ) -> None:
        limit = connections[name].rate_limit
        if limit is not None and limit.per_second is not None:
            self._paces.wait(name, limit.per_second, cancel)

    def redact(self, text: str) -> str:
        redacted: str = self.secrets.redact(text)
        return redacted

    def close(self) -> None:
        for versions in self._lent.values():
            for lent in versions.values():
                lent.source.close()
        self.kept.close()
        self.children.close()


def _drop_unused(versions: dict[str, _Lent]) -> list[Source]:
    """All but the last that nobody uses, taken out."""
    *older, _ = versions
    unused = [version for version in older if not versions[version].users]
    return [versions.pop(version).source for version in unused]


def _child_memory(text: str) -> int:
    from boe_reconciler.core.resources.types import format_size, parse_size

    try:
        size = parse_size(text)
    except ValueError as error:
        raise InputError(f"BOE_CHILD_MEMORY: {error}.") from error
    if size < SMALLEST_CHILD:
        todo = f"Give {format_size(SMALLEST_CHILD)} at least."
        raise InputError(f"BOE_CHILD_MEMORY is {text}.", todo)
    return size
