"""A git repo: what is read, what is refused, and what is noticed."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boe_reconciler.clock import SystemClock
from boe_reconciler.core.errors import BoeError, InputError, Refused, Temporary
from boe_reconciler.core.plan import PlanCache
from boe_reconciler.core.plan import reading as plan_reading
from boe_reconciler.core.plan.reading import read
from boe_reconciler.repos.folder import FolderRepo
from boe_reconciler.repos.git import GitRepo, mirror, program, reading
from boe_reconciler.repos.git.revisions import Revisions, mirrored
from tests.engine.world import HandClock
from tests.gits import Upstream, a_remote, a_repo, needs_keys, signing, ssh_key

YAML = "kind: Report\nspec: {query_file: sales.sql}\n"


@pytest.fixture
def upstream(tmp_path: Path) -> Upstream:
    return Upstream(tmp_path / "upstream.git")


@pytest.fixture
def repo(tmp_path: Path, upstream: Upstream) -> Iterator[GitRepo]:
    found = a_repo(tmp_path / "state", a_remote(upstream.path))
    yield found
    found.close()


def test_yaml_below_the_known_folders_and_the_policy_are_read(repo, upstream):
    wanted = ["policy.yaml", "schedules/a.yaml", "reports/deep/er/b.yml"]
    for path in [
        *wanted,
        "other.yaml",
        "exports/scheduled/a.yaml",
        "schedules/README.md",
        "schedules/.hidden.yaml",
        "schedules/a.yaml~",
        "schedules/#a.yaml",
        "reports/unused.sql",
        "sub/policy.yaml",
    ]:
        upstream.write(path, "a: 1\n")
    commit = upstream.commit()
    snapshot = repo.snapshot()
    assert sorted(snapshot.files) == sorted(wanted)
    assert snapshot.unreadable == {}
    assert snapshot.revision == f"main@sha1:{commit}"
    assert snapshot.read("schedules/a.yaml") == b"a: 1\n"


def test_referenced_files_are_read_wherever_they_are_in_the_repo(repo, upstream):
    upstream.write("reports/a.yaml", YAML)
    upstream.write("reports/sales.sql", "select 1")
    upstream.write("reports/b.yaml", "spec: {query_file: ../sql/b.sql}\n")
    upstream.write("sql/b.sql", "select 2")
    upstream.write("reports/c.yaml", "spec: {query_file: 'two words.sql'}\n")
    upstream.write("reports/two words.sql", "select 3")
    upstream.write("reports/d.yaml", "spec: {query_file: none.sql}\n")
    upstream.commit()
    snapshot = repo.snapshot()
    others = {path for path in snapshot.files if not path.endswith("yaml")}
    assert others == {"reports/sales.sql", "sql/b.sql", "reports/two words.sql"}
    assert snapshot.read("sql/b.sql") == b"select 2"


def test_codeowners_are_read_where_forges_look_for_them(repo, upstream):
    upstream.write("reports/CODEOWNERS", "* @others\n")
    upstream.write("docs/deep/CODEOWNERS", "* @others\n")
    upstream.write(".gitlab/CODEOWNERS", "* @ops\n")
    upstream.write("CODEOWNERS", "reports/CODEOWNERS", mode="120000")
    upstream.commit()
    snapshot = repo.snapshot()
    assert {*snapshot.files} == {".gitlab/CODEOWNERS"}
    assert snapshot.read(".gitlab/CODEOWNERS") == b"* @ops\n"
    assert snapshot.unreadable == {"CODEOWNERS": "it is a symbolic link"}


def test_the_folder_loader_reads_a_checkout_the_same(repo, upstream, tmp_path):
    upstream.write("reports/a.yaml", YAML)
    upstream.write("reports/sales.sql", "select 1")
    upstream.write("reports/far.yaml", "spec: {query_file: ../far/x.sql}\n")
    upstream.link("far", "sql")
    upstream.write("sql/x.sql", "select 1")
    upstream.link("schedules/linked", "../more")
    upstream.write("more/a.yaml", "a: 1")
    upstream.link("reports/harmless.sql", "sales.sql")
    upstream.link("reports/link.yaml", "a.yaml")
    upstream.write("groups/A.yaml", "a: 1")
    upstream.write("groups/a.yaml", "a: 1")
    upstream.write("groups/new\nline.yaml", "a: 1")
    upstream.write(b"groups/\xff.yaml", "a: 1")
    upstream.commit()
    upstream.git("worktree", "add", "--quiet", str(tmp_path / "checkout"), "main")
    here, there = FolderRepo(tmp_path / "checkout").snapshot(), repo.snapshot()
    assert there.files == here.files
    assert there.unreadable == here.unreadable
    assert len(there.unreadable) == 7


@pytest.mark.parametrize(
    "reference", ["../../etc/passwd", "/etc/passwd", "~/x.sql", "a/../../../x"]
)
def test_a_reference_cannot_leave_the_repo(repo, upstream, reference):
    upstream.write("reports/a.yaml", f"spec: {{query_file: {reference}}}\n")
    upstream.commit()
    assert list(repo.snapshot().files) == ["reports/a.yaml"]


def test_links_submodules_and_what_is_no_folder_are_told(repo, upstream):
    upstream.write("reports/a.yaml", "spec: {query_file: link.sql}\n")
    upstream.write("reports/b.yaml", "spec: {query_file: ../far/x.sql}\n")
    upstream.write("reports/c.yaml", "spec: {query_file: ../module/x.sql}\n")
    upstream.link("reports/link.sql", "a.yaml")
    upstream.link("reports/link.yaml", "a.yaml")
    upstream.link("far", "reports")
    upstream.submodule("module")
    upstream.submodule("groups/module")
    upstream.submodule("calendars")
    upstream.link("schedules", "/etc")
    upstream.link("templates/up", "../..")
    upstream.write("distributions", "a: 1")
    upstream.commit()
    snapshot = repo.snapshot()
    assert sorted(snapshot.files) == [f"reports/{name}.yaml" for name in "abc"]
    link, module = "it is a symbolic link", "it is a submodule"
    assert snapshot.unreadable == {
        "calendars": module,
        "distributions": "it is not a folder",
        "far/x.sql": link,
        "groups/module": module,
        "module/x.sql": module,
        "reports/link.sql": link,
        "reports/link.yaml": link,
        "schedules": link,
        "templates/up": link,
    }


ODD_NAMES = {
    b"schedules/\xff.yaml": (r"schedules/\xff.yaml", "its name is not UTF-8"),
    b"schedules/a\nb.yaml": (
        r"schedules/a\nb.yaml",
        "its name holds an invisible character",
    ),
    b"schedules/\xe2\x80\xa8.yaml": (
        r"schedules/\u2028.yaml",
        "its name holds an invisible character",
    ),
    b"schedules/" + b"d/" * 60 + b"a.yaml": (
        "schedules/" + "d/" * 60 + "a.yaml",
        "it is more than 50 folders deep",
    ),
}


@pytest.mark.parametrize("name", ODD_NAMES)
def test_an_odd_name_is_a_problem_on_one_line(repo, upstream, name):
    upstream.write(name, "a: 1\n")
    upstream.write("schedules/fine.yaml", "a: 1\n")
    upstream.commit()
    snapshot = repo.snapshot()
    shown, why = ODD_NAMES[name]
    assert list(snapshot.files) == ["schedules/fine.yaml"]
    assert snapshot.unreadable == {shown: why}


def test_names_that_clash_on_some_machines_are_not_chosen_between(repo, upstream):
    upstream.write("schedules/Daily.yaml", "a: 1\n")
    upstream.write("schedules/daily.yaml", "a: 2\n")
    upstream.write("reports/cafe\u0301.yaml", "a: 1\n")
    upstream.write("reports/caf\u00e9.yaml", "a: 2\n")
    upstream.commit()
    snapshot = repo.snapshot()
    assert snapshot.files == {}
    assert len(snapshot.unreadable) == 4
    assert snapshot.unreadable["schedules/daily.yaml"] == (
        "on some machines schedules/Daily.yaml is the same file"
    )


def test_a_file_without_end_is_told(repo, upstream, monkeypatch):
    monkeypatch.setattr(reading, "MAX_BYTES", 10)
    upstream.write("schedules/big.yaml", "a: 12345678\n")
    upstream.commit()
    assert list(repo.snapshot().unreadable) == ["schedules/big.yaml"]


@pytest.mark.parametrize(
    ("limit", "message"), [("MAX_FILES", "more than 2 YAML"), ("MAX_TOTAL", "2 bytes")]
)
def test_a_revision_that_is_too_large_is_refused(
    repo, upstream, monkeypatch, limit, message
):
    monkeypatch.setattr(reading, limit, 2)
    for name in "abc":
        upstream.write(f"schedules/{name}.yaml", f"a: {name}\n")
    upstream.commit()
    with pytest.raises(InputError, match=message):
        repo.snapshot()


PART = st.one_of(
    st.sampled_from([b"a", b"a.yaml", b"A.yaml", b"x.sql", b".git", b"git~1", b".."]),
    st.sampled_from(["ß.yaml", "SS.yaml", "\u202e.yaml", "\n.yml"]).map(str.encode),
    st.binary(min_size=1, max_size=6),
).filter(lambda name: not {b"/", b"\0"} & {bytes([one]) for one in name})
PATHS = st.tuples(
    st.sampled_from([b"schedules", b"reports", b"policy.yaml", b"sql", b"x"]),
    st.lists(PART, max_size=3),
).map(lambda drawn: b"/".join([drawn[0], *drawn[1]]))
CONTENTS = st.one_of(
    st.binary(max_size=30),
    st.sampled_from([YAML.encode(), b"../..", b"/etc", b"a.yaml", b".", b"../sql"]),
)
MODES = st.sampled_from(["100644", "100755", "120000", "160000"])


@pytest.fixture(scope="module")
def anything(tmp_path_factory) -> Iterator[tuple[Upstream, Revisions]]:
    """A mirror that is written to directly: nothing has looked at its objects."""
    folder = tmp_path_factory.mktemp("state") / "repo.git"
    upstream = Upstream(folder)
    revisions = mirrored(folder, "main", SystemClock(), os.environ)
    yield upstream, revisions
    revisions.close()


@given(files=st.dictionaries(PATHS, st.tuples(MODES, CONTENTS), max_size=6))
def test_whatever_a_tree_holds_is_read_or_told(anything, files):
    upstream, revisions = anything
    upstream.tree = {
        path: what
        for path, what in files.items()
        if not any(other.startswith(path + b"/") for other in files)
    }
    snapshot = revisions.snapshot(upstream.commit(parent=None))
    found = read(snapshot, PlanCache())
    for path in {**snapshot.files, **snapshot.unreadable}:
        assert not re.search("[\0-\x1f\x7f\u2028\u202e\ud800-\udfff]", path)
    yaml = {path for path in snapshot.unreadable if path.endswith((".yaml", ".yml"))}
    assert yaml <= {one.range.filename for one in found.problems}
    assert all(isinstance(snapshot.read(path), bytes) for path in snapshot.files)


def test_what_git_itself_refuses_is_told_and_nothing_else_changes(repo, upstream):
    upstream.write("schedules/a.yaml", "a: 1\n")
    upstream.commit()
    repo.snapshot()
    upstream.write("schedules/.git/config", "[core]")
    upstream.commit()
    with pytest.raises(Temporary, match=r"contains '\.git'"):
        repo.snapshot()


# --- Only what changed ------------------------------------------------------------

CALENDAR = "apiVersion: boe/v1\nkind: Calendar\nmetadata: {{name: c{}}}\nspec: {{}}\n"


def parsed_again(
    count: int, repo: GitRepo, upstream: Upstream, monkeypatch
) -> list[str]:
    """The files that are read and parsed after one of so many has changed."""
    upstream.commit_many(
        {f"calendars/{n}.yaml": CALENDAR.format(n) for n in range(count)}
    )
    cache = PlanCache()
    assert len(read(repo.snapshot(), cache).entries) == count
    seen: list[str] = []
    parse = plan_reading.documents_of

    def count_it(path: str, content: bytes, values):
        seen.append(path)
        return parse(path, content, values)

    monkeypatch.setattr(plan_reading, "documents_of", count_it)
    upstream.commit_many({"calendars/7.yaml": CALENDAR.format("x")})
    snapshot = repo.snapshot()
    assert len(read(snapshot, cache).entries) == count
    return seen


def test_only_the_changed_file_is_parsed(repo, upstream, monkeypatch):
    assert parsed_again(100, repo, upstream, monkeypatch) == ["calendars/7.yaml"]


@pytest.mark.slow
def test_one_changed_file_of_ten_thousand_is_the_only_one_parsed(
    repo, upstream, monkeypatch
):
    assert parsed_again(10_000, repo, upstream, monkeypatch) == ["calendars/7.yaml"]


@pytest.mark.slow
def test_two_thousand_files_are_read_quickly(repo, upstream, tmp_path):
    upstream.commit_many({f"schedules/{n}.yaml": f"a: {n}\n" for n in range(2000)})
    repo.snapshot()
    folder = tmp_path / "state/repo.git"
    with closing(mirrored(folder, "main", SystemClock(), os.environ)) as revisions:
        begin = time.perf_counter()
        assert len(revisions.snapshot("main").files) == 2000
        assert time.perf_counter() - begin < 5  # it takes hundredths


# --- Noticing ---------------------------------------------------------------------


def test_a_push_is_noticed_at_the_next_poll_and_not_before(tmp_path, upstream):
    clock = HandClock()
    remote = a_remote(upstream.path, poll=timedelta(seconds=30))
    repo = a_repo(tmp_path / "state", remote, clock=clock)
    upstream.write("schedules/a.yaml", "a: 1\n")
    upstream.commit()
    assert repo.wait(0)
    repo.snapshot()
    upstream.write("schedules/a.yaml", "a: 2\n")
    upstream.commit()
    assert not repo.wait(0)
    clock.move(31)
    assert repo.wait(0)
    assert repo.snapshot().read("schedules/a.yaml") == b"a: 2\n"
    clock.move(31)
    assert not repo.wait(0)
    repo.close()


def test_whoever_is_in_a_hurry_waits_for_no_poll(tmp_path, upstream):
    remote = a_remote(upstream.path, poll=timedelta(hours=1))
    repo = a_repo(tmp_path / "state", remote)
    upstream.commit()
    repo.snapshot()
    threading.Timer(0.1, repo.hurry).start()
    begin = time.monotonic()
    assert repo.wait(20)
    assert time.monotonic() - begin < 10
    repo.close()


def test_a_far_side_that_does_not_answer_holds_nobody_up(repo, upstream, monkeypatch):
    """What was fetched can be read meanwhile; the answer counts once it comes."""
    upstream.write("schedules/a.yaml", "a: 1\n")
    upstream.commit()
    repo.snapshot()
    answers, ask = threading.Event(), repo._ask
    monkeypatch.setattr("boe_reconciler.repos.git.PATIENCE", 0.01)
    monkeypatch.setattr(repo, "_ask", lambda: answers.wait(60) and ask())
    upstream.write("schedules/a.yaml", "a: 2\n")
    upstream.commit()
    repo.hurry()
    assert not repo.wait(0)
    assert repo.last().read("schedules/a.yaml") == b"a: 1\n"
    assert not repo.wait(0)
    answers.set()
    monkeypatch.setattr("boe_reconciler.repos.git.PATIENCE", 60)
    assert repo.wait(0)
    assert repo.snapshot().read("schedules/a.yaml") == b"a: 2\n"


def test_a_fetch_that_does_not_end_holds_nobody_up(repo, upstream, monkeypatch):
    upstream.write("schedules/a.yaml", "a: 1\n")
    upstream.commit()
    repo.snapshot()
    goes_on, fetch = threading.Event(), repo._mirror.fetch
    monkeypatch.setattr("boe_reconciler.repos.git.PATIENCE", 0.01)
    monkeypatch.setattr(
        "boe_reconciler.repos.git.mirror.Mirror.fetch",
        lambda _: goes_on.wait(60) and fetch(),
    )
    upstream.write("schedules/a.yaml", "a: 2\n")
    upstream.commit()
    repo.hurry()
    assert not repo.wait(0)
    assert repo.last().read("schedules/a.yaml") == b"a: 1\n"
    goes_on.set()
    monkeypatch.setattr("boe_reconciler.repos.git.PATIENCE", 60)
    assert repo.wait(0)
    assert repo.snapshot().read("schedules/a.yaml") == b"a: 2\n"


def test_an_unchanged_branch_costs_one_call(repo, upstream, monkeypatch):
    upstream.commit()
    repo.snapshot()
    called = calls(monkeypatch)
    repo.hurry()
    repo.wait(0)
    assert called == ["ls-remote"]


def calls(monkeypatch) -> list[str]:
    """The commands that git is given from now on."""
    seen: list[str] = []
    run = program.Git.run

    def noted(self, arguments, **named):
        seen.append(arguments[0])
        return run(self, arguments, **named)

    monkeypatch.setattr(program.Git, "run", noted)
    return seen


def test_failures_back_off_and_the_first_success_is_told(tmp_path, upstream):
    clock = HandClock()
    repo = a_repo(tmp_path / "state", a_remote(upstream.path), clock=clock)
    upstream.commit()
    repo.snapshot()
    away = upstream.path.rename(tmp_path / "away")
    waits = []
    for _ in range(9):
        clock.move(1000)
        with pytest.raises(Temporary, match="cannot be read"):
            repo.wait(0)
        waits.append(repo._next - clock.monotonic())
    assert waits[:3] == [3.75, 7.5, 15]
    assert max(waits) == 225
    away.rename(upstream.path)
    clock.move(1000)
    assert repo.wait(0), "nothing is new, but it can be read again"
    repo.snapshot()
    clock.move(1000)
    assert not repo.wait(0)
    repo.close()


def test_a_branch_that_is_not_there_is_told(tmp_path, upstream):
    upstream.commit()
    repo = a_repo(tmp_path / "state", a_remote(upstream.path, branch="prod"))
    with pytest.raises(Temporary, match="has no branch prod"):
        repo.snapshot()


def test_a_branch_may_be_called_like_a_folder_of_the_one_before(tmp_path, upstream):
    upstream.commit(branch="release")
    repo = a_repo(tmp_path / "state", a_remote(upstream.path, branch="release"))
    repo.snapshot()
    repo.close()
    upstream.git("update-ref", "-d", "refs/heads/release")
    newer = upstream.commit(branch="release/2026")
    repo = a_repo(tmp_path / "state", a_remote(upstream.path, branch="release/2026"))
    assert repo.snapshot().revision == f"release/2026@sha1:{newer}"
    repo.close()


def test_a_file_that_lfs_keeps_is_told(repo, upstream):
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 1\n"
    upstream.write("reports/a.yaml", YAML)
    upstream.write("reports/sales.sql", pointer)
    upstream.write("reports/b.yaml", pointer)
    upstream.commit()
    snapshot = repo.snapshot()
    for path in ("reports/sales.sql", "reports/b.yaml"):
        with pytest.raises(InputError, match=f"{path} .*Git LFS"):
            snapshot.read(path)


def test_other_branches_and_tags_are_not_fetched(repo, upstream, tmp_path):
    upstream.commit()
    upstream.commit(branch="other", parent=None)
    upstream.git("tag", "v1")
    repo.snapshot()
    refs = subprocess.run(
        ["git", "-C", tmp_path / "state/repo.git", "for-each-ref"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert refs.stdout.split()[2:] == ["refs/boe/branch"]


# --- History ----------------------------------------------------------------------


def test_commits_allow_removals_by_a_trailer(repo, upstream):
    first = upstream.commit()
    upstream.commit("Remove\n\nBoe-Allow-Removals: 7")
    upstream.commit("Talk of Boe-Allow-Removals: 99 in the text\n\nand go on")
    upstream.commit("Remove\n\nBoe-Allow-Removals: many\nBoe-Allow-Removals: 3")
    for odd in ("5 of 400", "8 (see 4711)", "1,000", "1234567", "-9", "٩٩"):
        upstream.commit(f"Remove\n\nBoe-Allow-Removals: {odd}")
    since = repo.snapshot().since(f"main@sha1:{first}")
    assert since is not None
    assert (since.descends, since.allow_removals) == (True, 7)
    assert repo.snapshot().since(repo.snapshot().revision).allow_removals == 0


def test_a_rewritten_history_is_noticed_even_when_the_old_commit_is_gone(
    repo, upstream, tmp_path
):
    old = upstream.commit("One")
    repo.snapshot()
    upstream.commit("Other", parent=None)
    assert not repo.snapshot().since(f"main@sha1:{old}").descends
    repo.close()
    again = a_repo(tmp_path / "fresh", a_remote(upstream.path))
    assert not again.snapshot().since(f"main@sha1:{old}").descends
    again.close()


@pytest.mark.parametrize(
    "revision", ["folder@sha1:" + "a" * 40, "prod@sha1:" + "a" * 40]
)
def test_of_another_branch_or_a_folder_no_history_is_known(repo, upstream, revision):
    upstream.commit()
    assert repo.snapshot().since(revision) is None


# --- Signatures -------------------------------------------------------------------


@needs_keys
def test_only_a_listed_key_is_taken(tmp_path, upstream):
    listed, stranger = ssh_key(tmp_path / "listed"), ssh_key(tmp_path / "stranger")
    signers = tmp_path / "signers"
    public = listed.with_suffix(".pub").read_text()
    signers.write_text(f"ada@example.com {public}")
    remote = a_remote(upstream.path, allowed_signers=signers)
    repo = a_repo(tmp_path / "state", remote)
    signing(upstream, listed)
    upstream.commit()
    assert repo.snapshot().files == {}
    signing(upstream, stranger)
    upstream.commit()
    with pytest.raises(
        Refused, match="is not signed by a key that is listed"
    ) as refused:
        repo.snapshot()
    assert refused.value.code == "BOE195"
    upstream.config = {}
    commit = upstream.commit()
    with pytest.raises(Refused, match="not signed") as refused:
        repo.snapshot()
    assert refused.value.revision == f"main@sha1:{commit}"
    repo.close()


@needs_keys
def test_a_signed_merge_of_unsigned_commits_is_taken(tmp_path, upstream):
    """The head alone is judged: who signs it answers for what it holds."""
    key = ssh_key(tmp_path / "key")
    signers = tmp_path / "signers"
    signers.write_text(f"ada@example.com {key.with_suffix('.pub').read_text()}")
    upstream.commit()
    signing(upstream, key)
    upstream.commit()
    repo = a_repo(tmp_path / "state", a_remote(upstream.path, allowed_signers=signers))
    repo.snapshot()
    repo.close()


@pytest.fixture
def gpg_home(tmp_path_factory) -> Iterator[Path]:
    if shutil.which("gpg") is None:
        pytest.skip("gpg is not installed")
    home = tmp_path_factory.mktemp("gpg")
    home.chmod(0o700)
    made = subprocess.run(
        ["gpg", "--batch", "--passphrase", "", "--quick-gen-key", "ada@example.com"],
        env={**os.environ, "GNUPGHOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        pytest.skip(f"gpg makes no key here: {made.stderr[-200:]}")
    yield home
    subprocess.run(
        ["gpgconf", "--kill", "all"],
        env={**os.environ, "GNUPGHOME": str(home)},
        check=False,
    )


@pytest.mark.slow
def test_a_key_of_the_named_gnupg_home_is_taken(tmp_path, upstream, gpg_home):
    upstream.config = {"user.signingkey": "ada@example.com"}
    os.environ["GNUPGHOME"] = str(gpg_home)
    try:
        upstream.commit()
    finally:
        del os.environ["GNUPGHOME"]
    remote = a_remote(upstream.path, gpg_home=gpg_home)
    repo = a_repo(tmp_path / "state", remote)
    repo.snapshot()
    repo.close()
    empty = tmp_path / "empty"
    empty.mkdir(mode=0o700)
    strict = a_repo(tmp_path / "other", a_remote(upstream.path, gpg_home=empty))
    with pytest.raises(Refused):
        strict.snapshot()
    strict.close()


# --- What goes wrong --------------------------------------------------------------


def test_a_damaged_mirror_is_made_anew(repo, upstream, tmp_path):
    upstream.write("schedules/a.yaml", "a: 1\n")
    upstream.commit()
    repo.snapshot()
    repo.close()
    objects = tmp_path / "state/repo.git/objects"
    damage = [one for one in objects.rglob("*") if one.is_file()]
    assert damage
    for one in damage:
        one.chmod(0o600)
        one.write_bytes(b"")
    repo = a_repo(tmp_path / "state", a_remote(upstream.path))
    assert repo.snapshot().read("schedules/a.yaml") == b"a: 1\n"
    repo.close()


@pytest.mark.parametrize(
    "left", ["refs/boe/branch.lock", "packed-refs.lock", "config.lock"]
)
def test_a_lock_that_a_killed_process_left_is_in_nobodys_way(
    repo, upstream, tmp_path, left
):
    upstream.commit()
    repo.snapshot()
    upstream.write("schedules/a.yaml", "a: 1\n")
    upstream.commit()
    (tmp_path / "state/repo.git" / left).touch()
    again = a_repo(tmp_path / "state", a_remote(upstream.path))
    assert list(again.snapshot().files) == ["schedules/a.yaml"]
    again.close()


def test_half_a_mirror_is_made_whole(repo, upstream, tmp_path):
    upstream.commit()
    (tmp_path / "state/repo.git/objects").mkdir(parents=True)
    repo.snapshot()


def test_a_blob_that_vanishes_later_is_no_removal(repo, upstream, tmp_path):
    upstream.write("reports/a.yaml", YAML)
    upstream.write("reports/sales.sql", "select 1")
    upstream.commit()
    snapshot = repo.snapshot()
    shutil.rmtree(tmp_path / "state/repo.git/objects")
    repo.close()
    with pytest.raises(Temporary, match="is damaged"):
        snapshot.read("reports/sales.sql")
    assert repo.snapshot().read("reports/sales.sql") == b"select 1"


def slow_git(folder: Path, code: str) -> dict[str, str]:
    """An environment whose git does `code` before it does what it should."""
    real = shutil.which("git")
    folder.mkdir()
    script = folder / "git"
    script.write_text(f'#!/bin/sh\n{code}\nexec {real} "$@"\n')
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}


def test_a_call_that_hangs_is_ended_with_all_that_it_started(
    tmp_path, upstream, monkeypatch
):
    upstream.commit()
    pid = tmp_path / "pid"
    code = f'if [ "$1" = ls-remote ]; then sleep 600 & echo $! > {pid}; wait; fi'
    environment = slow_git(tmp_path / "bin", code)
    monkeypatch.setattr(mirror, "ASK", 0.5)
    repo = a_repo(tmp_path / "state", a_remote(upstream.path), environment=environment)
    with pytest.raises(Temporary, match="did not end within"):
        repo.snapshot()
    with pytest.raises(ProcessLookupError):
        ended(int(pid.read_text()))


def ended(pid: int) -> None:
    """Raises ProcessLookupError once it is gone."""
    for _ in range(100):
        os.kill(pid, 0)
        if Path(f"/proc/{pid}/stat").exists():
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
            if state == "Z":
                raise ProcessLookupError
        time.sleep(0.05)


def test_an_interrupt_ends_what_waits_for_the_far_side(tmp_path, upstream):
    upstream.commit()
    code = 'if [ "$1" = ls-remote ]; then sleep 600; fi'
    environment = slow_git(tmp_path / "bin", code)
    repo = a_repo(tmp_path / "state", a_remote(upstream.path), environment=environment)
    threading.Timer(0.3, repo.interrupt).start()
    begin = time.monotonic()
    with pytest.raises(Temporary, match="interrupted"):
        repo.snapshot()
    assert time.monotonic() - begin < 20


def test_an_answer_without_end_is_cut_off(tmp_path, upstream, monkeypatch):
    upstream.commit()
    monkeypatch.setattr(program, "MOST", 100_000)
    code = 'if [ "$1" = ls-remote ]; then yes; fi'
    environment = slow_git(tmp_path / "bin", code)
    repo = a_repo(tmp_path / "state", a_remote(upstream.path), environment=environment)
    with pytest.raises(Temporary, match="answered more than"):
        repo.snapshot()


def test_an_absent_or_old_git_is_told_with_what_to_install(tmp_path, upstream):
    remote = a_remote(upstream.path)
    with pytest.raises(InputError) as absent:
        a_repo(tmp_path / "state", remote, environment={"PATH": str(tmp_path)})
    assert "apt install git" in absent.value.help
    code = "echo git version 2.20.1; exit 0"
    with pytest.raises(InputError, match=r"git version 2\.20\.1 is too old"):
        a_repo(tmp_path / "state", remote, environment=slow_git(tmp_path / "bin", code))


def test_nothing_of_the_machine_or_the_mirror_is_executed(
    tmp_path, upstream, monkeypatch
):
    """A hook, an alias, a filter, or a config of somebody's home."""
    touched = tmp_path / "touched"
    home = tmp_path / "home"
    home.mkdir()
    evil = f"touch {touched}"
    (home / ".gitconfig").write_text(
        f"[core]\n\tfsmonitor = {evil}\n\tsshCommand = {evil}\n"
        f'[remote "origin"]\n\tuploadpack = {evil}; git-upload-pack\n'
    )
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GIT_SSH_COMMAND", evil)
    monkeypatch.setenv("GIT_EXTERNAL_DIFF", evil)
    upstream.commit()
    repo = a_repo(tmp_path / "state", a_remote(upstream.path))
    repo.snapshot()
    hook = tmp_path / "state/repo.git/hooks/reference-transaction"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\n{evil}\n")
    hook.chmod(0o755)
    upstream.write("schedules/a.yaml", "a: 1\n")
    upstream.commit()
    repo.snapshot()
    assert not touched.exists()
    repo.close()


def test_a_folder_with_a_work_tree_is_a_remote_too(tmp_path, upstream):
    upstream.write("schedules/a.yaml", "a: 1\n")
    upstream.commit()
    clone = tmp_path / "clone"
    upstream.git("clone", "--quiet", str(upstream.path), str(clone))
    for url in (clone, f"file://{clone}"):
        repo = a_repo(tmp_path / "state", a_remote(url))
        assert list(repo.snapshot().files) == ["schedules/a.yaml"]
        repo.close()


def test_every_way_to_fail_is_an_error_of_ours(tmp_path):
    for url in (tmp_path, tmp_path / "none", f"file://{tmp_path}/none"):
        repo = a_repo(tmp_path / "state", a_remote(url))
        with pytest.raises(BoeError):
            repo.snapshot()
