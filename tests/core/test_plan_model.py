"""Random edits of small repos: what is served is what a simple model says.

The model knows nothing of how a plan is made. It tries every choice of versions and
takes the best one that is closed over references: no object is lost, as many as
possible are new, and nothing that was removed stays without need. What comes while the
change window is shut changes nothing, until a later step or a release lets it in.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import product
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from boe_reconciler.core.holds import HoldKind
from boe_reconciler.core.plan import Plan, PlanCache, served_plan
from boe_reconciler.core.plan.past import in_its_window
from tests.revisions import NOW, Ledger, a_document

NAMES = {"Connection": ("c1", "c2"), "Report": ("r1", "r2"), "Schedule": ("s1", "s2")}
KIND = {name: kind for kind, names in NAMES.items() for name in names}
KIND |= {"r3": "Report", "s3": "Schedule", "r9": "Report", "c9": "Connection"}
OWN = [name for names in NAMES.values() for name in names]
BELOW = {"Report": "Connection", "Schedule": "Report"}
FOLDER = {"Connection": "connections", "Report": "reports", "Schedule": "schedules"}


@dataclass(frozen=True)
class Version:
    tag: int
    #: The object it refers to, if its kind refers to any.
    ref: str | None = None
    good: bool = True
    renamed_from: str | None = None


@dataclass
class Repo:
    """What the files hold: one object a file, by name."""

    objects: dict[str, Version] = field(default_factory=dict)
    #: Names that stand in a second file as well.
    doubled: set[str] = field(default_factory=set)
    #: Files that hold their object's name, and are no YAML.
    torn: set[str] = field(default_factory=set)
    #: Files that cannot be read.
    locked: set[str] = field(default_factory=set)

    @property
    def read(self) -> dict[str, Version]:
        """The objects that can be seen."""
        shut = self.torn | self.locked
        return {name: one for name, one in self.objects.items() if name not in shut}


# --- The model ------------------------------------------------------------------------


def model(repo: Repo, old: Mapping[str, Version]) -> dict[str, Version]:
    names = sorted({*repo.read, *old})
    options = [[*_options(name, repo, old)] for name in names]
    choices = (
        {name: one for name, one in zip(names, picked, strict=True) if one}
        for picked in product(*options)
    )
    good = [one for one in choices if _closed(one) and _nothing_lost(one, repo, old)]
    return max(good, key=lambda one: _score(one, repo))


def _options(
    name: str, repo: Repo, old: Mapping[str, Version]
) -> Iterator[Version | None]:
    yield None
    if name in old:
        yield old[name]
    new = repo.read.get(name)
    if new and new.good and name not in repo.doubled and _heir(name, new, repo):
        exists = new.ref is None or new.ref in repo.read or _hides(repo, new.ref)
        if exists and new != old.get(name):
            yield new


def _heir(name: str, new: Version, repo: Repo) -> bool:
    """Of a name that is gone, and alone in that."""
    claims = [one.renamed_from for one in repo.read.values()]
    former = new.renamed_from
    return former is None or (former not in repo.read and claims.count(former) == 1)


def _hides(repo: Repo, name: str) -> bool:
    """What has another name now is hidden nowhere."""
    if any(one.renamed_from == name for one in repo.read.values()):
        return False
    return name in repo.torn or any(KIND[one] == KIND[name] for one in repo.locked)


def _closed(choice: Mapping[str, Version]) -> bool:
    return all(one.ref is None or one.ref in choice for one in choice.values())


def _nothing_lost(
    choice: Mapping[str, Version], repo: Repo, old: Mapping[str, Version]
) -> bool:
    """Nor kept under its old name only because something new still uses that."""
    before = [one for name, one in choice.items() if one == old.get(name)]
    for name in old:
        heirs = [
            one
            for one, new in repo.read.items()
            if new.renamed_from == name and one not in old
        ]
        unsure = repo.locked or name in repo.torn
        if name in repo.read or (unsure and not heirs):
            kept = name in choice
        else:
            kept = not heirs or name in choice or heirs[0] in choice
        needed = any(one.ref == name for one in before)
        doubly = name in choice and any(heir in choice for heir in heirs)
        if not kept or (doubly and not needed):
            return False
    return True


def _score(choice: Mapping[str, Version], repo: Repo) -> tuple[int, int]:
    news = [name for name, one in choice.items() if one == repo.read.get(name)]
    return len(news), -len(choice)


# --- Files ----------------------------------------------------------------------------


def files_of(repo: Repo) -> dict[str, str]:
    files = {}
    for name, version in repo.objects.items():
        folder = FOLDER[KIND[name]]
        text = _text(name, version)
        if name in repo.torn:
            text = f"{name}: [\n"
        if name not in repo.locked:
            files[f"{folder}/{name}.yaml"] = text
        if name in repo.doubled and name in repo.read:
            files[f"{folder}/{name}-again.yaml"] = _text(name, version)
    return files


def _text(name: str, version: Version) -> str:
    kind = KIND[name]
    spec = {
        "Connection": "type: duckdb",
        "Report": f"connection: {version.ref}\nquery: select 1",
        "Schedule": f"report: {version.ref}\nwhen: {{every: 1h, timezone: UTC}}\n"
        "deliver_to: [{type: local, base_path: x}]",
    }[kind]
    metadata = f"  description: v{version.tag}\n"
    if version.renamed_from:
        metadata += f"  renamed_from: {version.renamed_from}\n"
    bad = "" if version.good else "\nnonsense: true"
    return a_document(kind, name, spec + bad, metadata)


def unreadable_of(repo: Repo) -> dict[str, str]:
    locked = repo.locked & set(repo.objects)
    return {f"{FOLDER[KIND[name]]}/{name}.yaml": "permission denied" for name in locked}


# --- Edits ----------------------------------------------------------------------------


@st.composite
def edits(draw: Any) -> tuple[str, ...]:
    name = draw(st.sampled_from(OWN))
    action = draw(
        st.sampled_from(
            ["good", "good", "bad", "refer", "delete", "double", "tear", "lock", "mend"]
            + ["rename"] * (KIND[name] in BELOW)
        )
    )
    return action, name, draw(st.sampled_from("12"))


def edit(repo: Repo, action: str, name: str, which: str, tag: int) -> None:
    for shut in (repo.torn, repo.locked, repo.doubled):
        shut.discard(name)
    below = BELOW.get(KIND[name])
    ref = f"{below[0].lower()}{which}" if below else None
    if action == "delete":
        repo.objects.pop(name, None)
        return
    if action == "rename":
        if repo.objects.pop(name, None):
            heir = f"{name[0]}3"
            repo.objects[heir] = Version(tag, ref, renamed_from=name)
        return
    before = repo.objects.get(name, Version(tag, ref))
    if action == "refer":
        ref = f"{below[0].lower()}9" if below and which == "1" else ref
        before = Version(tag, ref)
    if action in ("good", "bad"):
        before = Version(tag, ref, good=action == "good")
    repo.objects[name] = before
    places = {"double": repo.doubled, "tear": repo.torn, "lock": repo.locked}
    if action in places:
        places[action].add(name)


WINDOWS = "change_windows: [{cron: 0 8 * * *, duration: 8h, timezone: UTC}]"
POLICY = {"policy.yaml": a_document("Policy", "policy", WINDOWS)}
SHUT = NOW + timedelta(hours=8)


def through_its_gate(plan: Plan, ledger: Ledger, gate: str) -> Plan:
    """The gate is open, shut, or shut with a release for what it keeps out."""
    if ledger.served is None:
        return plan
    released = {(HoldKind.CHANGE_WINDOW, plan.revision)} if gate == "released" else ()
    now = NOW if gate == "open" else SHUT
    return in_its_window(plan, ledger.served, released=released, now=now)


def check(steps: list[tuple[str, list[tuple[str, ...]]]]) -> None:
    repo, ledger, cache = Repo(), Ledger(), PlanCache()
    for name in OWN:
        edit(repo, "good", name, "1", 0)
    served: dict[str, Version] = {}
    tag = 0
    for gate, step in [("open", []), *steps]:
        for action, name, which in step:
            tag += 1
            edit(repo, action, name, which, tag)
        if gate != "shut":
            served = model(repo, served)
        files, shut = files_of(repo) | POLICY, unreadable_of(repo)
        fresh = ledger.plan(files, unreadable=shut)
        plan = ledger.plan(files, unreadable=shut, cache=cache)
        assert plan.activation == fresh.activation
        plan = through_its_gate(plan, ledger, gate)
        ledger.activate(plan)
        found = {name: one.data["metadata"] for (_, name), one in plan.objects.items()}
        del found["policy"]
        assert {name: one["description"] for name, one in found.items()} == {
            name: f"v{one.tag}" for name, one in served.items()
        }
        assert ledger.served
        restarted = served_plan(ledger.served, now=NOW, read_blob=ledger.read)
        assert not plan.schedules or restarted.schedules == plan.schedules
        assert set(restarted.schedules) == {n for n in served if n[0] == "s"}


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["open", "open", "shut", "released"]),
        st.lists(edits(), min_size=1, max_size=4),
    ),
    min_size=1,
    max_size=5,
)


#: A Schedule that refers to what another file says it was called before.
TO_ITS_FORMER_NAME = [
    (
        "open",
        [
            ("delete", "c1", "1"),
            ("lock", "r1", "1"),
            ("rename", "r2", "1"),
            ("good", "s1", "2"),
        ],
    )
]


@example(TO_ITS_FORMER_NAME)
@given(STEPS)
def test_what_is_served_is_what_the_model_says(
    steps: list[tuple[str, list[tuple[str, ...]]]],
) -> None:
    check(steps)


@pytest.mark.slow
@pytest.mark.timeout(600)
@settings(max_examples=700)
@given(STEPS)
def test_what_is_served_is_what_the_model_says_at_length(
    steps: list[tuple[str, list[tuple[str, ...]]]],
) -> None:
    check(steps)
