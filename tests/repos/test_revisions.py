"""Revisions of the git repo that a folder is in: found, read, and nothing written."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from boe_reconciler.clock import SystemClock
from boe_reconciler.core.errors import InputError
from boe_reconciler.repos.git.author import author_of
from boe_reconciler.repos.git.revisions import Revisions, around, mirrored
from tests.gits import (
    Upstream,
    a_remote,
    a_repo,
    git_in,
    needs_keys,
    signing,
    ssh_key,
)

Look = Callable[..., Revisions]


@pytest.fixture
def look() -> Iterator[Look]:
    """Revisions around a folder, closed at the end."""
    found = []

    def around_it(folder: Path, **environment: str) -> Revisions:
        found.append(around(folder, SystemClock(), {**os.environ, **environment}))
        return found[-1]

    yield around_it
    for one in found:
        one.close()


@pytest.fixture
def upstream(tmp_path: Path) -> Upstream:
    """Two commits."""
    made = Upstream(tmp_path / "upstream.git")
    made.write("schedules/a.yaml", "a: 1\n")
    made.commit("First")
    made.write("schedules/a.yaml", "a: 2\n")
    made.commit("Second\n\nBoe-Allow-Removals: 7")
    return made


def clone(upstream: Upstream, path: Path, *options: str) -> Path:
    upstream.git("clone", "--quiet", *options, f"file://{upstream.path}", str(path))
    return path


def test_a_revision_is_named_as_git_names_it_or_as_boe_prints_it(
    tmp_path, upstream, look
):
    folder = clone(upstream, tmp_path / "clone")
    git_in(folder, "tag", "-a", "-m", "x", "v1", "HEAD~1")
    second, first = upstream.head(), git_in(folder, "rev-parse", "HEAD~1")
    revisions = look(folder)
    for name, label, commit in [
        ("main", "main", second),
        ("origin/main", "origin/main", second),
        ("HEAD~1", "HEAD~1", first),
        ("v1", "v1", first),
        (first, "commit", first),
        (first[:10], "commit", first),
        (f"production@sha1:{first}", "production", first),
    ]:
        found = revisions.snapshot(name)
        assert found.revision == f"{label}@sha1:{commit}"
        text = b"a: 2\n" if commit == second else b"a: 1\n"
        assert found.read("schedules/a.yaml") == text
        assert revisions.snapshot(found.revision).revision == found.revision


def test_neither_the_work_tree_nor_the_index_matter(tmp_path, upstream, look):
    folder = clone(upstream, tmp_path / "clone")
    (folder / "schedules/a.yaml").write_text("a: 3\n")
    git_in(folder, "add", "-A")
    (folder / "schedules/b.yaml").write_text("b: 1\n")
    found = look(folder).snapshot("HEAD")
    assert list(found.files) == ["schedules/a.yaml"]
    assert found.read("schedules/a.yaml") == b"a: 2\n"


def test_nothing_is_written(tmp_path, upstream, look):
    folder = clone(upstream, tmp_path / "clone")

    def files() -> dict[Path, int]:
        return {each: each.stat().st_mtime_ns for each in folder.rglob("*")}

    before = files()
    found = look(folder).snapshot("HEAD")
    assert found.since(look(folder).snapshot("HEAD~1").revision)
    assert files() == before


@pytest.fixture
def mono(tmp_path: Path) -> Upstream:
    """A git repo as it stands below a work tree, of which BOE has a sub-folder."""
    (tmp_path / "mono/boe/reports").mkdir(parents=True)
    return Upstream(tmp_path / "mono/.git")


def test_of_a_monorepo_only_the_folder_is_read(mono, look):
    mono.write("policy.yaml", "not: ours\n")
    mono.write("schedules/theirs.yaml", "a: 1\n")
    mono.write("boe/schedules/ours.yaml", "a: 1\n")
    mono.write("boe/reports/a.yaml", "spec: {query_file: ../sql/a.sql}\n")
    mono.write("boe/reports/b.yaml", "spec: {query_file: ../../sql/b.sql}\n")
    mono.write("boe/sql/a.sql", "select 1")
    mono.write("sql/b.sql", "select 2")
    mono.commit()
    found = look(mono.path.parent / "boe").snapshot("main")
    assert sorted(found.files) == [
        "reports/a.yaml",
        "reports/b.yaml",
        "schedules/ours.yaml",
        "sql/a.sql",
    ]
    assert found.read("sql/a.sql") == b"select 1"


def test_a_commit_without_the_folder_holds_nothing(mono, look):
    mono.write("readme", "hello")
    mono.commit()
    found = look(mono.path.parent / "boe").snapshot("main")
    assert (found.files, found.unreadable) == ({}, {})


def test_links_and_submodules_are_refused_as_in_the_mirror(mono, look):
    mono.write("boe/reports/a.yaml", "a: 1\n")
    mono.link("boe/schedules/link.yaml", "../reports/a.yaml")
    mono.link("boe/calendars", "../elsewhere")
    mono.submodule("boe/templates/sub")
    mono.commit()
    found = look(mono.path.parent / "boe").snapshot("main")
    assert list(found.files) == ["reports/a.yaml"]
    assert found.unreadable == {
        "calendars": "it is a symbolic link",
        "schedules/link.yaml": "it is a symbolic link",
        "templates/sub": "it is a submodule",
    }


@pytest.mark.parametrize("what", ["link", "submodule"])
def test_a_folder_that_was_something_else_is_told(mono, look, what):
    if what == "link":
        mono.link("boe", "elsewhere")
    else:
        mono.submodule("boe")
    mono.commit()
    with pytest.raises(InputError, match="boe is no folder in the commit"):
        look(mono.path.parent / "boe").snapshot("main")


def test_a_linked_worktree_is_a_folder_like_any_other(tmp_path, upstream, look):
    folder = clone(upstream, tmp_path / "clone")
    git_in(folder, "worktree", "add", "-q", "-b", "side", "../side", "HEAD~1")
    side = look(tmp_path / "side")
    assert side.snapshot("HEAD").read("schedules/a.yaml") == b"a: 1\n"
    assert side.snapshot("main").read("schedules/a.yaml") == b"a: 2\n"


# --- What cannot be read ----------------------------------------------------------


def test_a_name_that_means_no_commit_is_told(tmp_path, upstream, look):
    revisions = look(clone(upstream, tmp_path / "clone"))
    wrongs = ("none", "", "--all", "main:schedules", "main..HEAD", "^main", "0" * 40)
    for wrong in wrongs:
        with pytest.raises(InputError, match="There is no commit") as raised:
            revisions.snapshot(wrong)
        assert "git fetch" in raised.value.help


def test_a_branch_that_only_the_far_side_has_is_suggested(tmp_path, upstream, look):
    upstream.commit(branch="feature")
    with pytest.raises(InputError) as raised:
        look(clone(upstream, tmp_path / "clone")).snapshot("feature")
    assert raised.value.help == "There is origin/feature."


def test_a_shallow_clone_says_how_to_deepen_it(tmp_path, upstream, look):
    revisions = look(clone(upstream, tmp_path / "clone", "--depth=1"))
    assert revisions.snapshot("HEAD").files
    with pytest.raises(InputError) as raised:
        revisions.snapshot("HEAD~1")
    assert "fetch-depth: 0" in raised.value.help
    assert "GIT_DEPTH" in raised.value.help


def test_a_clone_without_its_files_is_told_and_nothing_is_fetched(
    tmp_path, upstream, look
):
    upstream.git("config", "uploadpack.allowFilter", "true")
    folder = clone(upstream, tmp_path / "c", "--filter=blob:none", "--no-checkout")
    with pytest.raises(InputError, match="cannot be read") as raised:
        look(folder).snapshot("HEAD")
    assert "--filter" in raised.value.help


def test_a_repo_without_a_commit_is_told(tmp_path, look):
    git_in(tmp_path, "init", "-q")
    with pytest.raises(InputError) as raised:
        look(tmp_path).snapshot("HEAD")
    assert raised.value.help == "The repo has no commit yet."


def test_a_damaged_repo_is_not_taken_for_a_new_one(tmp_path, upstream, look):
    for part in ("objects", "config", "HEAD"):
        folder = clone(upstream, tmp_path / part)
        if part == "objects":
            shutil.rmtree(folder / ".git/objects")
            (folder / ".git/objects").mkdir()
        else:
            (folder / ".git" / part).write_text("[nonsense")
        with pytest.raises(InputError, match="There is no commit") as raised:
            look(folder).snapshot("main")
        assert "is damaged" in raised.value.help


def test_a_folder_outside_of_git_is_told(tmp_path, look):
    with pytest.raises(InputError, match="is in no git repo"):
        look(tmp_path)


def test_a_bare_repo_is_told(upstream, look):
    with pytest.raises(InputError, match="is a bare git repo"):
        look(upstream.path)


def test_without_git_its_absence_is_told(tmp_path, upstream, look):
    folder = clone(upstream, tmp_path / "clone")
    with pytest.raises(InputError, match="git program is not installed"):
        look(folder, PATH=str(tmp_path))


def test_ids_of_another_kind_are_told(tmp_path, look):
    git_in(tmp_path, "init", "-q", "--object-format=sha256")
    git_in(tmp_path, "commit", "-q", "--allow-empty", "-m", "x")
    with pytest.raises(InputError, match="SHA-256"):
        look(tmp_path).snapshot("HEAD")


def test_a_clone_of_another_user_can_be_read(tmp_path, upstream, look):
    """As in a container of CI: nothing that its config names is started."""
    folder = clone(upstream, tmp_path / "clone")
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin/git"
    program.write_text(
        "#!/bin/sh\nGIT_TEST_ASSUME_DIFFERENT_OWNER=1 exec "
        f'{shutil.which("git")} "$@"\n'
    )
    program.chmod(0o755)
    refused = subprocess.run(
        [program, "-C", folder, "log"], capture_output=True, check=False
    )
    assert b"dubious ownership" in refused.stderr
    path = f"{program.parent}:{os.environ['PATH']}"
    assert look(folder, PATH=path).snapshot("HEAD").files


def test_no_program_that_the_config_of_a_clone_names_is_started(
    tmp_path, upstream, look
):
    """Whoever sends a folder with its .git would run what they like as we look at it."""
    folder = clone(upstream, tmp_path / "clone")
    git_in(folder, "commit", "-q", "--allow-empty", "-m", "x")
    body = git_in(folder, "cat-file", "commit", "HEAD").replace(
        "\n\n",
        "\ngpgsig -----BEGIN SSH SIGNATURE-----\n x\n -----END SSH SIGNATURE-----\n\n",
        1,
    )
    (tmp_path / "commit").write_text(f"{body}\n")
    signed = git_in(
        folder, "hash-object", "-w", "-t", "commit", str(tmp_path / "commit")
    )
    touched = tmp_path / "touched"
    evil = tmp_path / "evil"
    evil.write_text(f"#!/bin/sh\ntouch {touched}\n")
    evil.chmod(0o755)
    git_in(folder, "config", "log.showSignature", "true")
    for key in (
        *("core.fsmonitor", "core.pager", "core.sshCommand", "core.askPass"),
        *("gpg.program", "gpg.openpgp.program", "gpg.ssh.program", "pager.log"),
        *("diff.external", "diff.x.textconv", "filter.x.smudge", "credential.helper"),
    ):
        git_in(folder, "config", key, str(evil))
    revisions = look(folder)
    revisions.fork("HEAD~1")
    second = revisions.snapshot(signed)
    assert second.read("schedules/a.yaml") == b"a: 2\n"
    assert second.since(revisions.snapshot("HEAD~1").revision).descends
    assert not touched.exists()


def test_who_works_in_a_folder_that_is_gone_is_not_known(tmp_path):
    assert author_of(tmp_path / "gone") is None


# --- What came between ------------------------------------------------------------


def test_trailers_between_two_revisions_are_found(tmp_path, upstream, look):
    folder = clone(upstream, tmp_path / "clone")
    first, second = (look(folder).snapshot(each) for each in ("HEAD~1", "HEAD"))
    found = second.since(first.revision)
    assert found is not None
    assert (found.descends, found.allow_removals) == (True, 7)
    back = first.since(second.revision)
    assert back is not None
    assert (back.descends, back.allow_removals) == (False, 0)
    assert second.since("folder@sha1:" + "0" * 40) is None
    assert second.since("main@sha1:" + "0" * 40) is None


@needs_keys
def test_a_clone_s_config_changes_nothing_of_that_and_starts_nothing(
    tmp_path, upstream, look
):
    """`git log` shows signatures where that is configured: numbers among them."""
    signing(upstream, ssh_key(tmp_path / "key"))
    upstream.commit("Signed")
    folder = clone(upstream, tmp_path / "clone")
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/started\necho 99\n")
    program.chmod(0o755)
    config = {
        "log.showSignature": "true",
        "gpg.ssh.program": str(program),
        "i18n.logOutputEncoding": "UTF-16",
    }
    for key, value in config.items():
        git_in(folder, "config", key, value)
    first, last = (look(folder).snapshot(each) for each in ("HEAD~2", "HEAD"))
    found = last.since(first.revision)
    assert found is not None
    assert (found.descends, found.allow_removals) == (True, 7)
    assert not (tmp_path / "started").exists()


def test_a_shallow_clone_does_not_know_what_came_between(tmp_path, upstream, look):
    older = upstream.head()
    upstream.commit("Third")
    folder = clone(upstream, tmp_path / "clone", "--depth=1")
    git_in(folder, "fetch", "-q", "--depth=1", "origin", older)
    assert look(folder).snapshot("HEAD").since(f"main@sha1:{older}") is None


# --- The mirror -------------------------------------------------------------------


def test_what_was_fetched_into_a_mirror_can_be_read(tmp_path, upstream):
    folder = tmp_path / "state/repo.git"
    with pytest.raises(InputError, match="Nothing was fetched"):
        mirrored(folder, "main", SystemClock(), os.environ)
    repo = a_repo(tmp_path / "state", a_remote(upstream.path))
    repo.snapshot()
    repo.close()
    revisions = mirrored(folder, "main", SystemClock(), os.environ)
    for name in ("main", "HEAD", "main@sha1:" + (upstream.head() or "")):
        assert revisions.snapshot(name).read("schedules/a.yaml") == b"a: 2\n"
    assert revisions.snapshot("main~1").read("schedules/a.yaml") == b"a: 1\n"
    for wrong in ("none", "--upload-pack=x", "main:schedules/a.yaml"):
        with pytest.raises(InputError, match="There is no commit"):
            revisions.snapshot(wrong)
    revisions.close()
