"""Whatever somebody pushes, or puts into a folder: Problems, and never a removal."""

from __future__ import annotations

import json
import os
import shutil
import stat
import tempfile
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boe_reconciler.blobs import folder as blobs
from boe_reconciler.core.errors import InputError, Temporary
from boe_reconciler.core.plan.files import MAX_BYTES
from boe_reconciler.core.ports import Repo
from boe_reconciler.engine.reconciler import Reconciler
from boe_reconciler.ledgers.memory import MemoryLedger
from boe_reconciler.repos.folder import FolderRepo
from boe_reconciler.repos.git import GitRepo
from tests.engine.world import HandClock
from tests.folders import document, schedule
from tests.gits import Upstream, a_remote, a_repo

#: What is served before anything odd comes, and must be served after it.
GOOD: Mapping[bytes, bytes] = {
    b"connections/none.yaml": json.dumps(
        document("Connection", "none", {"type": "duckdb"})
    ).encode(),
    b"groups/team.yaml": json.dumps(
        document("Group", "team", {"members": ["ada@example.com"]})
    ).encode(),
    **{
        f"schedules/s{n}.yaml".encode(): json.dumps(schedule(f"s{n}")).encode()
        for n in range(4)
    },
}
NAMES = {"none", "team", "s0", "s1", "s2", "s3"}

# --- What somebody may push -------------------------------------------------------

ODD = [
    *(name.encode() for name in ("CON", "NUL.yaml", "aux.yml", "a.yaml.", "a .yaml")),
    *(name.encode() for name in ("ß.yaml", "SS.yaml", "é.yaml", "e\u0301.yaml")),
    *(name.encode() for name in ("S0.YAML", "S0.yaml", "s0.yaml", "s1.yml", "\n.yaml")),
    *(name.encode() for name in ('"q".yaml', "'.yaml", "\u202e.yaml", "a\\b.yaml")),
    *(name.encode() for name in ("~a.yaml", ".a.yaml", "-rf.yaml", "...yaml", ".. ")),
    *(name.encode() for name in (":(glob)*.yaml", "*.yaml", "$(id).yaml", "%s.yaml")),
    *(b"\xff\xfe.yaml", b"a\xc3.yaml", b"x" * 250 + b".yaml", b"..data", b"a\tb.yaml"),
]
PART = st.one_of(
    st.sampled_from(ODD),
    st.binary(min_size=1, max_size=5),
    st.text(min_size=1, max_size=5).map(lambda t: t.encode(errors="replace")),
).filter(
    lambda name: b"/" not in name and b"\0" not in name and name.strip(b".") != b""
)
TOP = st.sampled_from(
    [b"schedules", b"groups", b"connections", b"reports", b"policy.yaml", b"x"]
)
PATHS = st.one_of(
    st.tuples(TOP, st.lists(PART, min_size=1, max_size=3)).map(
        lambda drawn: b"/".join([drawn[0], *drawn[1]])
    ),
    st.just(b"schedules/" + b"/".join([b"d" * 60] * 65) + b"/x.yaml"),
    st.just(b"policy.yaml"),
).filter(lambda path: not any((path + b"/").startswith(good + b"/") for good in GOOD))
DEEP = b"[" * 20_000
CONTENTS = st.one_of(
    st.binary(max_size=40),
    st.sampled_from(
        [
            *GOOD.values(),
            b"",
            b"\0",
            b"---\n---\n",
            DEEP,
            b"a: &a [*a]\n",
            b"\xff\xfea\0:\0",
            "kind: Schedule".encode("utf-16"),
            b"kind: Schedule\nmetadata: {name: s0}\n",
            b"kind: Schedule\nmetadata: {name: [1]}\n",
            b"{kind: Policy, metadata: {name: policy}, spec: {removals: 7}}",
            b"apiVersion: boe/v1\nkind: Group\nmetadata: {name: team}\nspec: 1\n",
            b"1: 2\nyes: no\n? [a]\n: b\n",
            b"!!python/object/apply:os.system [id]\n",
            b"x: 99999999999999999999e999\ny: 2026-99-99\nz: .inf\n",
            b"version https://git-lfs.github.com/spec/v1\n",
            b"../../../../etc/passwd",
            b"s0.yaml",
        ]
    ),
)
MODES = st.sampled_from(["100644", "100644", "100755", "100664", "120000", "160000"])
#: Beside what is good.
ADDED = st.dictionaries(PATHS, st.tuples(MODES, CONTENTS), max_size=5)
#: In its place: what leaves open whether it is still there.
REPLACED = st.dictionaries(
    st.sampled_from([*GOOD]),
    st.one_of(
        st.tuples(st.sampled_from(["120000", "160000"]), CONTENTS),
        st.tuples(st.just("100644"), st.sampled_from([DEEP, b"\0", b"a: [", b"\xff"])),
    ),
    max_size=2,
)
TREES = st.builds(lambda added, replaced: {**added, **replaced}, ADDED, REPLACED)


def without_clashes(files: Mapping[bytes, Any]) -> dict[bytes, Any]:
    """No path is a folder of another: the last one stands."""
    return {
        path: what
        for path, what in files.items()
        if not any(other.startswith(path + b"/") for other in files)
    }


def is_one_line(text: str) -> bool:
    """As a terminal shows it; what is not in Python's version of Unicode is harmless."""
    return not {"Cc", "Cf", "Cs", "Zl", "Zp"} & {unicodedata.category(x) for x in text}


class Site:
    def __init__(self, state: Path, repo: Repo) -> None:
        self._state = state
        self.repo = repo

    def begin(self) -> None:
        """Serve what is good, with a ledger that knows of nothing else."""
        self.ledger = MemoryLedger()
        self.reconciler = Reconciler(
            repo=self.repo,
            ledger=self.ledger,
            blobs=blobs.create(self._state / "blobs"),
            clock=HandClock(),
        )
        self.reconciler.reconcile()
        assert self.served() == NAMES

    def look(self) -> None:
        """A revision may be refused as a whole; nothing that is served may go."""
        with suppress(InputError, Temporary):
            plan = self.reconciler.reconcile()
            assert all(is_one_line(str(problem)) for problem in plan.problems)
        assert self.served() >= NAMES
        assert {one.name for one in self.ledger.states()} >= {"s0", "s1", "s2", "s3"}

    def served(self) -> set[str]:
        return {one.name for one in self.ledger.served().objects}


# --- A branch of git ---------------------------------------------------------------


class GitSite(Site):
    def __init__(self, folder: Path) -> None:
        """The mirror is written to directly: nothing has looked at its objects."""
        self.upstream = Upstream(folder / "repo.git", is_mirror=True)
        self.git: GitRepo = a_repo(folder, a_remote(self.upstream.path))
        super().__init__(folder, self.git)

    def push(self, files: Mapping[bytes, tuple[str, bytes]]) -> None:
        good = {path: ("100644", content) for path, content in GOOD.items()}
        self.upstream.tree = without_clashes({**good, **files})
        self.upstream.commit()


@pytest.fixture(scope="module")
def git_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitSite]:
    made = GitSite(tmp_path_factory.mktemp("git"))
    yield made
    made.git.close()


def check(site: GitSite | FolderSite, files: Mapping[bytes, tuple[str, bytes]]) -> None:
    """Odd files beside the good ones, in their place, and gone again."""
    site.push({})
    site.begin()
    site.push(files)
    site.look()
    site.push({})
    site.look()
    assert all(one.ready for one in site.ledger.served().statuses)


@settings(max_examples=10)
@given(files=TREES)
def test_an_odd_commit_removes_nothing(
    git_site: GitSite, files: Mapping[bytes, tuple[str, bytes]]
) -> None:
    check(git_site, files)


@pytest.mark.slow
@pytest.mark.timeout(600)
@settings(max_examples=300)
@given(files=TREES)
def test_an_odd_commit_removes_nothing_at_length(
    git_site: GitSite, files: Mapping[bytes, tuple[str, bytes]]
) -> None:
    check(git_site, files)


# --- A folder ----------------------------------------------------------------------

#: What a file system holds and git does not.
THINGS: Mapping[str, Callable[[Path], None]] = {
    "fifo": os.mkfifo,
    "socket": lambda path: os.mknod(path, 0o600 | stat.S_IFSOCK),
    "device": lambda path: os.mknod(path, 0o600 | stat.S_IFCHR, os.makedev(1, 5)),
    "loop": lambda path: path.symlink_to(path.name),
    "up": lambda path: path.symlink_to(".."),
    "away": lambda path: path.symlink_to("/etc"),
    "huge": lambda path: sparse(path, MAX_BYTES + 1),
    "folder": Path.mkdir,
}
IN_A_FOLDER = st.builds(
    lambda *some: {path: what for one in some for path, what in one.items()},
    ADDED,
    st.dictionaries(PATHS, st.tuples(st.sampled_from([*THINGS]), st.just(b""))),
    REPLACED,
    st.dictionaries(
        st.sampled_from([*GOOD, b"schedules", b"groups"]),
        st.tuples(
            st.sampled_from([*sorted(THINGS.keys() - {"folder"}), "100644"]),
            st.just(b"a: ["),
        ),
        max_size=2,
    ),
)


def sparse(path: Path, size: int) -> None:
    with path.open("wb") as file:
        file.truncate(size)


class FolderSite(Site):
    def __init__(self, folder: Path) -> None:
        self.root = Path(os.path.realpath(folder)) / "repo"
        super().__init__(folder, FolderRepo(self.root, doubt=0))

    def push(self, files: Mapping[bytes, tuple[str, bytes]]) -> None:
        """What this file system takes; all else of the folder goes."""
        shutil.rmtree(self.root, ignore_errors=True)
        good = {path: ("100644", content) for path, content in GOOD.items()}
        for path, (mode, content) in sorted({**good, **files}.items()):
            with suppress(OSError):
                make(self.root / os.fsdecode(path), mode, content)


def make(path: Path, mode: str, content: bytes) -> None:
    if os.path.realpath(path.parent) != str(path.parent):
        return  # nothing is made behind a link: it may lead out of the test
    path.parent.mkdir(parents=True, exist_ok=True)
    if mode in THINGS:
        THINGS[mode](path)
    elif mode == "120000":
        path.symlink_to(os.fsdecode(content.replace(b"\0", b"") or b"x"))
    elif mode == "160000":
        os.mkfifo(path)
    elif not os.path.lexists(path):
        path.write_bytes(content)  # into a FIFO that is there it would wait for ever


@settings(max_examples=10)
@given(files=IN_A_FOLDER)
def test_an_odd_folder_removes_nothing(
    files: Mapping[bytes, tuple[str, bytes]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        check(FolderSite(Path(folder)), files)


@pytest.mark.slow
@pytest.mark.timeout(600)
@settings(max_examples=150)
@given(files=IN_A_FOLDER)
def test_an_odd_folder_removes_nothing_at_length(
    files: Mapping[bytes, tuple[str, bytes]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        check(FolderSite(Path(folder)), files)
