"""Random edits of real git repos, each commit polled: what is served is what a simple
model says, and what a plan of the two commits had said before.

Ten sequences in the quick tests, a thousand in the slow ones. Each commit is written into
a bare repo elsewhere; a real git asks that for its head by ls-remote, fetches it into
BOE's mirror, and reads it there. All sequences begin with the same commit, which is
fetched once; the ledger, which is in memory, is new for each.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boe_reconciler.clock import SystemClock
from boe_reconciler.core.changes import Change, changes
from boe_reconciler.core.changes.compare import Terms, compare
from boe_reconciler.core.changes.fields import FieldChange
from boe_reconciler.core.plan import PlanCache, make_plan
from boe_reconciler.core.snapshot import Snapshot
from boe_reconciler.core.spec import Served
from boe_reconciler.engine.reconciler import Reconciler
from boe_reconciler.ledgers.memory import MemoryLedger
from boe_reconciler.repos.git import GitRepo
from boe_reconciler.repos.git.revisions import Revisions, mirrored
from tests.engine.world import HandClock
from tests.folders import document
from tests.gits import Upstream, a_remote, a_repo, read_again
from tests.oracles.serving import Commit, Repo, Serving, Version

KINDS = {
    "policy": "Policy",
    "g1": "Group",
    "k1": "Calendar",
    "c1": "Connection",
    "c2": "Connection",
    "d1": "Distribution",
    "d2": "Distribution",
    "r1": "Report",
    "r2": "Report",
    "t1": "ScheduleTemplate",
    "s1": "Schedule",
    "s2": "Schedule",
    "s3": "Schedule",
}
#: What a renamed object is called, and what is not there.
OTHERS = {
    **{f"{name}-new": kind for name, kind in KINDS.items() if name[0] in "drs"},
    **{f"{name[0]}9": kind for name, kind in KINDS.items() if name != "policy"},
}
ALL = {**KINDS, **OTHERS}
FOLDERS = {"ScheduleTemplate": "templates"}
SHARED = "schedules/shared.yaml"


def home(name: str) -> str:
    kind = ALL[name]
    folder = FOLDERS.get(kind, f"{kind.lower()}s")
    return "policy.yaml" if kind == "Policy" else f"{folder}/{name}.yaml"


# --- Documents --------------------------------------------------------------------


def references(name: str, which: str) -> frozenset[str]:
    """What a version of an object needs; `which` chooses among the many ways."""
    number = which[0]
    some = {
        "Policy": ["d1"],
        "Report": [f"c{number}"],
        "Schedule": [f"r{number}", f"d{number}"],
    }.get(ALL[name], [])
    if ALL[name] == "Schedule":
        some += [each for each in ("k1", "t1", "g1") if each[0] in which]
    return frozenset(some)


def named(version: Version, letter: str) -> str | None:
    return next((ref for ref in version.refs if ref[0] == letter), None)


def spec_of(version: Version) -> dict[str, Any]:
    report, calendar = named(version, "r"), named(version, "k")
    template = named(version, "t")
    specs: Mapping[str, dict[str, Any]] = {
        "Policy": {"notices": {"ops": sorted(version.refs)}},
        "Group": {"members": [f"p{version.tag}@example.com"]},
        "Calendar": {"days_off": [f"2027-01-{version.tag % 28 + 1:02}"]},
        "Connection": {"type": "duckdb"},
        "Distribution": {
            "destinations": [{"type": "local", "base_path": f"x/{version.tag}"}]
        },
        "Report": {"connection": named(version, "c"), "query": "select 1 as one"},
        "ScheduleTemplate": {"export": {"format": "csv"}},
        "Schedule": {
            "report": report,
            "when": {
                "cron": f"{version.tag % 60} 6 * * *",
                "timezone": "UTC",
                **({"calendar": calendar} if calendar else {}),
            },
            "deliver_to": [named(version, "d")],
            **({"template": template} if template else {}),
        },
    }
    bad = {} if version.good else {"nonsense": True}
    return {**specs[version.kind], **bad}


def text_of(name: str, version: Version) -> str:
    metadata: dict[str, Any] = {"description": f"v{version.tag}"}
    if group := named(version, "g"):
        metadata["owner"] = group
    if version.renamed_from:
        metadata["renamed_from"] = version.renamed_from
    made = document(version.kind, name, spec_of(version), **metadata)
    return json.dumps(made)


# --- Edits ------------------------------------------------------------------------

WHICH = st.tuples(
    st.sampled_from("12"), st.lists(st.sampled_from("ktg"), max_size=2).map("".join)
).map("".join)
EDITS = st.tuples(
    st.sampled_from(
        "write write write bad refer delete rename move double tear lock mend".split()
    ),
    st.sampled_from([*KINDS]),
    WHICH,
)


@dataclass(frozen=True)
class Step:
    edits: list[tuple[str, str, str]]
    #: Everything of these kinds goes as well.
    purge: str = ""
    #: In the commit's trailer, if it has one.
    allowed: int | None = None
    forced: bool = False


STEPS = st.builds(
    Step,
    st.lists(EDITS, min_size=1, max_size=4),
    purge=st.sampled_from(["", "", "", "", "sr", "srd"]),
    allowed=st.sampled_from([None, None, None, 3, 6, 8]),
    forced=st.sampled_from([False, False, False, True]),
)
SEQUENCES = st.lists(STEPS, min_size=1, max_size=3)


def base() -> Repo:
    found = Repo()
    for number, name in enumerate(KINDS):
        write(found, name, a_version(name, number, "1" if number % 2 else "2ktg"))
    return found


def a_version(name: str, tag: int, which: str, **fields: Any) -> Version:
    return Version(kind=ALL[name], tag=tag, refs=references(name, which), **fields)


def write(repo: Repo, name: str, version: Version, path: str = "") -> None:
    """In its file, in place of what that says of it."""
    path = path or place_of(repo, name) or home(name)
    documents = repo.files.setdefault(path, [])
    documents[:] = [one for one in documents if one[0] != name] + [(name, version)]


def place_of(repo: Repo, name: str) -> str | None:
    places = [path for path, some in repo.files.items() if name in dict(some)]
    return min(places, default=None)


def drop(repo: Repo, name: str) -> Version | None:
    """Out of every file; what the first of them said."""
    found = None
    for path in sorted(repo.files):
        documents = dict(repo.files[path])
        found = documents.pop(name, None) or found
        repo.files[path] = [*documents.items()]
        if not documents:
            repo.torn.discard(path)
            repo.locked.discard(path)
            del repo.files[path]
    return found


def edit(repo: Repo, action: str, name: str, which: str, tag: int) -> None:
    place = place_of(repo, name)
    if name == "policy" and action in ("delete", "rename", "move", "double"):
        return
    if action in ("write", "bad", "mend"):
        repo.torn.discard(place or "")
        repo.locked.discard(place or "")
    if action in ("write", "bad"):
        write(repo, name, a_version(name, tag, which, good=action == "write"))
    if action == "refer":
        version = a_version(name, tag, which)
        wrong = frozenset(f"{ref[0]}9" for ref in version.refs)
        write(repo, name, replace(version, refs=wrong))
    if place:
        change(repo, action, name, place, tag)


def change(repo: Repo, action: str, name: str, place: str, tag: int) -> None:
    """What only happens to an object that is there."""
    if action in ("delete", "move", "rename"):
        version = drop(repo, name)
        assert version
    if action == "move":
        write(repo, name, version, SHARED if place != SHARED else home(name))
    if action == "rename" and f"{name}-new" in ALL:
        heir = replace(version, tag=tag, renamed_from=name)
        write(repo, f"{name}-new", heir)
    if action == "double":
        again = home(name).replace(".yaml", "-again.yaml")
        write(repo, name, dict(repo.files[place])[name], again)
    if action in ("tear", "lock"):
        (repo.torn if action == "tear" else repo.locked).add(place)


# --- A site -----------------------------------------------------------------------


@dataclass
class Site:
    """A repo, and BOE over it: its ledger is new for each example.

    All examples begin with the same commit, which is read once.
    """

    upstream: Upstream
    repo: GitRepo
    state: Path
    revisions: Revisions | None = None
    served: Serving = field(default_factory=dict)
    numbers: dict[int, str] = field(default_factory=dict)
    #: The commit before.
    before: Snapshot | None = None
    #: The first commit of each example, and what is served of it.
    first: tuple[Snapshot, Serving] | None = None

    def begin(self) -> None:
        self.ledger = MemoryLedger()
        self.blobs: dict[str, bytes] = {}
        if self.first is None:
            self.first = self.begun()
        self.before, self.served = self.first
        self.numbers = {1: self.before.revision}
        self.reconciler = Reconciler(
            repo=Still(self.before),  # type: ignore[arg-type]  # it is asked for no more
            ledger=self.ledger,
            blobs=Kept(self.blobs),
            clock=HandClock(),
        )
        self.reconciler.reconcile()
        self.check_served()
        self.reconciler.repo = self.repo

    def begun(self) -> tuple[Snapshot, Serving]:
        repo = base()
        self.push(repo, 1, Step([]))
        served = Commit(repo=repo, number=1, allowed=0, old={}, kinds=ALL).served()
        return self.repo.snapshot(), served

    def push(self, repo: Repo, number: int, step: Step) -> str:
        """The commit, with this step's trailer."""
        self.upstream.tree.clear()
        for path, documents in repo.files.items():
            text = "\n---\n".join(text_of(*one) for one in documents)
            if path in repo.locked:
                self.upstream.link(path, "/etc/passwd")
            elif path in repo.torn:
                names = " ".join(name for name, _ in documents)
                self.upstream.write(path, f"# {names}\n[\n")
            else:
                self.upstream.write(path, text)
        trailer = f"\n\nBoe-Allow-Removals: {step.allowed}" if step.allowed else ""
        is_root = step.forced or number == 1
        above = None if is_root else self.numbers[number - 1].partition(":")[2]
        commit = self.upstream.commit(f"Change {number}{trailer}", parent=above)
        self.numbers[number] = f"main@sha1:{commit}"
        return commit

    def poll(self, repo: Repo, number: int, step: Step, *, last: bool) -> None:
        commit = self.push(repo, number, step)
        old = self.ledger.served()
        allowed = 0 if step.forced else step.allowed or 0
        self.served = Commit(
            repo=repo, number=number, allowed=allowed, old=self.served, kinds=ALL
        ).served()
        plan = self.reconciler.reconcile()
        self.check_served()
        name = f"main@sha1:{commit}"
        fresh = read_again(self.state, name) if last else self._read(name)
        if last:
            self.check_from_scratch(fresh, old, plan, allowed)
        self.check_plan(fresh, old)
        self.before = fresh

    def _read(self, name: str) -> Snapshot:
        """By what `boe plan` reads with."""
        if self.revisions is None:
            folder = self.state / "repo.git"
            self.revisions = mirrored(folder, "main", SystemClock(), os.environ)
        return self.revisions.snapshot(name)

    def check_served(self) -> None:
        """The version of each object, its file, and the commit that it is from."""
        whole = self.ledger.served()
        found = {
            one.name: (
                one.data["metadata"]["description"],
                one.file,
                one.revision or whole.serving,
            )
            for one in whole.objects
        }
        assert found == {
            name: (f"v{one.version.tag}", one.file, self.numbers[one.since])
            for name, one in self.served.items()
        }
        schedules = {name for name in found if ALL[name] == "Schedule"}
        assert {one.name for one in self.ledger.states()} == schedules
        for status in whole.statuses:
            one = self.served.get(status.name)
            serving = self.numbers[one.since] if one else None
            assert status.serving_revision == serving
            assert status.ready == (status.observed_revision == serving)

    def check_from_scratch(
        self, fresh: Snapshot, old: Served, plan: Any, allowed: int
    ) -> None:
        """What was remembered of earlier commits changed nothing."""
        again = make_plan(
            fresh,
            served=old,
            now=self.reconciler.clock.now(),
            allow_removals=allowed,
            cache=PlanCache(),
            read_blob=self.blobs.__getitem__,
        )
        assert again.activation == plan.activation

    def check_plan(self, head: Snapshot, old: Served) -> None:
        """A reviewer saw what would happen, where the base was all that was served."""
        base = self.before
        assert base
        if any(not one.ready for one in old.statuses):
            return
        now = self.reconciler.clock.now()
        told = compare(base, head, Terms(now=now))
        assert told.before is not None
        assert not told.unknown
        was, will = documents_of(old), documents_of(self.ledger.served())
        said = changes(told.before, told.after, now=now, days=3).changes
        assert carried_out(said, was, will) == will


def documents_of(served: Served) -> dict[tuple[str, str], Any]:
    return {(one.kind, one.name): one.data for one in served.objects}


def carried_out(
    said: Sequence[Change], was: Mapping[Any, Any], will: Mapping[Any, Any]
) -> dict[tuple[str, str], Any]:
    """What is served once every change that was told is made, and no other."""
    found = deepcopy(dict(was))
    for change in said:
        key = change.kind, change.name
        if change.action == "create":
            assert key not in was
            found[key] = will[key]
            continue
        document = found.pop((change.kind, change.renamed_from or change.name))
        if change.action == "update":
            assert change.fields
            for each in change.fields:
                put(document, each)
            found[key] = document
    return found


def put(document: Any, change: FieldChange) -> None:
    *above, last = change.path
    for part in above:
        document = document[part]
    is_there = isinstance(last, int) or last in document
    assert (document[last] if is_there else None) == change.before
    document[last] = change.after
    if change.after is None:
        del document[last]


class Still:
    """A repo at one commit."""

    def __init__(self, there: Snapshot) -> None:
        self._there = there

    def snapshot(self) -> Snapshot:
        return self._there


class Kept:
    """The Blobs store of one example."""

    def __init__(self, blobs: dict[str, bytes]) -> None:
        self._blobs = blobs

    def put(self, content: bytes) -> None:
        raise AssertionError(f"these repos refer to no file: {content!r}")

    def read(self, sha256: str) -> bytes:
        return self._blobs[sha256]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    upstream = Upstream(folder / "upstream.git")
    repo = a_repo(folder / "state", a_remote(upstream.path))
    site = Site(upstream, repo, folder / "state")
    yield site
    repo.close()
    if site.revisions:
        site.revisions.close()


def check(site: Site, steps: list[Step]) -> None:
    repo, tag = base(), len(KINDS)
    site.begin()
    for number, step in enumerate(steps, 2):
        repo = repo.copy()
        for action, name, which in step.edits:
            tag += 1
            edit(repo, action, name, which, tag)
        for name in [one for one in ALL if one[0] in step.purge]:
            drop(repo, name)
        site.poll(repo, number, step, last=number == len(steps) + 1)


@settings(max_examples=10)
@given(SEQUENCES)
def test_what_is_served_of_each_fetched_commit_is_what_the_model_says(
    site: Site, steps: list[Step]
) -> None:
    check(site, steps)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("part", range(5))
@settings(max_examples=200)
@given(steps=SEQUENCES)
def test_a_thousand_sequences_of_fetched_commits_are_served_as_the_model_says(
    site: Site, part: int, steps: list[Step]
) -> None:
    check(site, steps)
