"""A reader that goes from commit to commit finds what one finds that knows of none."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boe_reconciler.clock import SystemClock
from boe_reconciler.core.errors import InputError
from boe_reconciler.repos.git import objects, program, reading
from boe_reconciler.repos.git.objects import Contents
from boe_reconciler.repos.git.program import Git
from boe_reconciler.repos.git.reading import Files, Reader
from tests.gits import Upstream

#: Files, folders of the same names, names that clash, and what files refer to.
PATHS = [
    b"policy.yaml",
    b"schedules",
    b"schedules/a.yaml",
    b"schedules/A.yaml",
    b"schedules/a.yaml/b.yaml",
    b"schedules/sub",
    b"schedules/sub/c.yaml",
    b"schedules/sub/d.yml",
    b"schedules/\xff.yaml",
    b"schedules/line\nbreak.yaml",
    b"schedules/ blank .yaml",
    b"schedules/*.yaml",
    b"schedules/:(top)x.yaml",
    "schedules/\u00fc.yaml".encode(),
    "schedules/u\u0308.yaml".encode(),
    b"schedules/.hidden.yaml",
    b"schedules/note.txt",
    b"reports/r.yaml",
    b"reports/r.sql",
    b"reports/sql/s.sql",
    b"reports/sql",
    b"queries",
    b"queries/q.sql",
    b"CODEOWNERS",
    b"docs",
    b"docs/CODEOWNERS",
    b"elsewhere/x.yaml",
]
CONTENTS = [
    b"a: 1\n",
    b"a: 2\n",
    b"spec: {query_file: r.sql}\n",
    b"spec: {query_file: sql/s.sql}\n",
    b"spec: {query_file: sql}\n",
    b"spec: {query_file: ../queries/q.sql}\n",
    b"[\n",
    b"x" * 300,
]
TARGETS = [b"sub", b"../reports", b"r.sql", b"/etc", b"nowhere", b"..", b"a.yaml"]
THINGS = st.one_of(
    st.tuples(st.sampled_from(["100644", "100755"]), st.sampled_from(CONTENTS)),
    st.tuples(st.just("120000"), st.sampled_from(TARGETS)),
    st.just(("160000", b"")),
    st.none(),
)
EDITS = st.lists(st.tuples(st.sampled_from(PATHS), THINGS), min_size=1, max_size=4)
#: What is changed, and of which earlier commit; -1: of the last one.
STEPS = st.lists(st.tuples(EDITS, st.integers(-1, 3)), min_size=1, max_size=8)


class Site:
    def __init__(self, folder: Path) -> None:
        self.upstream = Upstream(folder / "here.git")
        self.git = Git(
            folder=self.upstream.path, clock=SystemClock(), environment=os.environ
        )

    def put(self, path: bytes, thing: tuple[str, bytes] | None) -> None:
        """A file and a folder of one name cannot be there together."""
        tree = self.upstream.tree
        above = {path[:at] for at, sign in enumerate(path) if sign == ord("/")}
        for each in [*tree]:
            if each == path or each.startswith(path + b"/") or each in above:
                del tree[each]
        if thing:
            tree[path] = thing


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site(tmp_path_factory.mktemp("listing"))


@settings(max_examples=5, deadline=None)
@given(steps=STEPS)
def test_what_is_listed_by_its_changes_is_what_a_whole_listing_finds(
    site: Site, steps: list[tuple[list[tuple[bytes, tuple[str, bytes] | None]], int]]
) -> None:
    go_through(site, steps)


@pytest.mark.slow
@settings(max_examples=120, deadline=None)
@given(steps=STEPS)
def test_so_it_is_over_a_thousand_edits(
    site: Site, steps: list[tuple[list[tuple[bytes, tuple[str, bytes] | None]], int]]
) -> None:
    go_through(site, steps)


def go_through(
    site: Site, steps: list[tuple[list[tuple[bytes, tuple[str, bytes] | None]], int]]
) -> None:
    trees: list[dict[bytes, tuple[str, bytes]]] = [{}]
    with closing(Contents(git=site.git)) as contents:
        reader = Reader(git=site.git, contents=contents)
        for edits, origin in steps:
            site.upstream.tree = dict(trees[origin if origin < len(trees) else -1])
            for path, thing in edits:
                site.put(path, thing)
            trees.append(dict(site.upstream.tree))
            commit = site.upstream.commit(parent=None)
            scratch = Reader(git=site.git, contents=contents)
            assert seen(reader.read(commit)) == seen(scratch.read(commit))


def seen(files: Files) -> tuple[object, ...]:
    return files.files, files.unreadable, files.sizes


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What git was asked, call by call."""
    found: list[list[str]] = []
    real = program.Git.run

    def run(self: Git, arguments: list[str], **options: object) -> program.Done:
        found.append(list(arguments))
        return real(self, arguments, **options)  # type: ignore[arg-type]  # passed on

    monkeypatch.setattr(program.Git, "run", run)
    return found


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[tuple[Upstream, Reader]]:
    site = Site(tmp_path)
    for number in range(30):
        site.upstream.write(f"schedules/s{number}.yaml", f"a: {number}\n")
    with closing(Contents(git=site.git)) as contents:
        yield site.upstream, Reader(git=site.git, contents=contents)


def test_only_what_changed_is_listed(
    reader: tuple[Upstream, Reader], asked: list[list[str]]
) -> None:
    upstream, one = reader
    one.read(upstream.commit())
    upstream.write("schedules/s7.yaml", "a: new\n")
    asked.clear()
    found = one.read(upstream.commit())
    assert len(found.files) == 30
    assert [call[0] for call in asked] == ["diff-tree", "ls-tree"]
    assert asked[1][-1] == "schedules/s7.yaml"


def test_after_a_commit_that_is_gone_all_is_listed(
    reader: tuple[Upstream, Reader],
) -> None:
    """As after a mirror was fetched anew."""
    upstream, one = reader
    first = upstream.commit()
    one.read(first)
    (upstream.path / "objects" / first[:2] / first[2:]).unlink()
    upstream.remove("schedules/s7.yaml")
    assert len(one.read(upstream.commit(parent=None)).files) == 29


def test_a_change_of_more_than_git_may_answer_is_listed_whole(
    reader: tuple[Upstream, Reader], monkeypatch: pytest.MonkeyPatch
) -> None:
    upstream, one = reader
    one.read(upstream.commit())
    for number in range(9):
        upstream.remove(f"schedules/s{number}.yaml")

    def too_much(*_: object) -> list[str] | None:
        with monkeypatch.context() as few:
            few.setattr(program, "MOST", 10)
            return objects.changed_paths(*_)  # type: ignore[arg-type]  # passed on

    monkeypatch.setattr(reading, "changed_paths", too_much)
    assert len(one.read(upstream.commit()).files) == 21


def test_what_could_not_be_read_to_its_end_is_read_again(
    reader: tuple[Upstream, Reader], monkeypatch: pytest.MonkeyPatch
) -> None:
    upstream, one = reader
    one.read(upstream.commit())
    upstream.write("schedules/s7.yaml", "spec: {query_file: q.sql}\n")
    upstream.write("schedules/q.sql", "select 1")
    commit = upstream.commit()
    with monkeypatch.context() as small:
        small.setattr(reading, "MAX_TOTAL", 10)
        with pytest.raises(InputError):
            one.read(commit)
    assert "schedules/q.sql" in one.read(commit).files


def test_a_file_that_becomes_a_folder_is_told_as_one(
    reader: tuple[Upstream, Reader],
) -> None:
    upstream, one = reader
    upstream.write("schedules/s7.yaml", "spec: {query_file: sql}\n")
    assert one.read(upstream.commit()).unreadable == {}
    upstream.write("schedules/sql/inside", "select 1")
    folder = one.read(upstream.commit()).unreadable
    assert folder == {"schedules/sql": "it is not a regular file"}
    upstream.remove("schedules/sql/inside")
    assert one.read(upstream.commit()).unreadable == {}
