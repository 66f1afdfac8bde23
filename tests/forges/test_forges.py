"""Every forge keeps the same promises, against a server that answers as theirs do."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from boe_reconciler.app import FORGES
from boe_reconciler.clock import SystemClock
from boe_reconciler.core import ports
from boe_reconciler.core.errors import Permanent, RunError, Temporary
from boe_reconciler.core.forge import CommitStatus, ForgeAt, marker
from boe_reconciler.forges import _api
from tests.forges.fake import READ_ONLY, Fault, Forge, a_forge

COMMIT = "0123456789" * 4
MARK = marker("boe")


@dataclass
class Reach:
    """A forge of one kind, as BOE reaches it."""

    kind: str
    fake: Forge
    token: str = "t-ada"
    open: list[ports.Forge] = field(default_factory=list)

    @property
    def base(self) -> str:
        return self.fake.github if self.kind == "github" else self.fake.gitlab

    def forge(self, project: str = "team/reports") -> ports.Forge:
        made: ports.Forge = importlib.import_module(FORGES[self.kind]).create(
            ForgeAt(kind=self.kind, url=self.base, project=project),  # type: ignore[arg-type]  # its two words
            token=lambda: self.token,
            redact=lambda text: text.replace(self.token, "***"),
            clock=SystemClock(),
        )
        self.open.append(made)
        return made

    def report(self, state: str = "success", text: str = "All is served.") -> None:
        status = CommitStatus(state=state, description=text, context="boe")  # type: ignore[arg-type]  # as above
        self.forge().report(COMMIT, status)

    def comment(self, text: str) -> None:
        self.forge().comment(7, MARK, text)

    @property
    def ours(self) -> list[str]:
        bodies = [one["body"] for one in self.fake.comments]
        return [one.partition("\n")[2] for one in bodies if one.startswith(MARK)]


@pytest.fixture
def fake() -> Iterator[Forge]:
    with a_forge() as forge:
        yield forge


@pytest.fixture(params=sorted(FORGES))
def reach(request: pytest.FixtureRequest, fake: Forge) -> Iterator[Reach]:
    found = Reach(request.param, fake)
    yield found
    for one in found.open:
        one.close()


def test_a_status_stands_beside_its_commit(reach: Reach) -> None:
    for state in ("pending", "failure"):
        reach.report(state, "x" * 300)
    failed = "failure" if reach.kind == "github" else "failed"
    assert reach.fake.said(COMMIT) == ["pending", failed]
    assert reach.fake.statuses[0][1]["description"].endswith("xx…")


def test_the_same_status_twice_is_as_good_as_once(reach: Reach) -> None:
    reach.report("pending")
    reach.report("pending")
    assert set(reach.fake.said(COMMIT)) == {"pending"}


def test_a_status_leads_to_where_a_setting_says(reach: Reach) -> None:
    url = "https://grafana.example.com/d/boe"
    status = CommitStatus(
        state="success", description="", context="boe", target_url=url
    )
    reach.forge().report(COMMIT, status)
    assert reach.fake.statuses[0][1]["target_url"] == url


def test_a_pull_request_has_one_comment_of_ours_which_is_kept_up_to_date(
    reach: Reach,
) -> None:
    reach.comment("first")
    number = reach.fake.comments[0]["id"]
    reach.comment("second")
    assert reach.ours == ["second"]
    assert reach.fake.comments[0]["id"] == number


def test_what_says_the_same_already_is_left_alone(reach: Reach) -> None:
    reach.comment("first")
    reach.comment("first")
    methods = [method for method, *_ in reach.fake.requests]
    assert methods.count("POST") == 1
    assert not {"PATCH", "PUT", "DELETE"} & set(methods)


def test_the_comment_is_found_behind_hundreds_of_others(reach: Reach) -> None:
    for number in range(250):
        reach.fake.add("bob", f"remark {number}")
    reach.comment("first")
    reach.comment("second")
    assert reach.ours == ["second"]


def test_a_comment_of_somebody_else_with_our_marker_is_never_touched(
    reach: Reach,
) -> None:
    reach.fake.add("bob", f"{MARK}\nfaked")
    reach.comment("ours")
    assert reach.ours == ["faked", "ours"]


def test_a_comment_that_another_job_wrote_meanwhile_becomes_the_one(
    reach: Reach,
) -> None:
    reach.fake.rival = f"{MARK}\nof the other job"
    reach.comment("ours")
    assert reach.ours == ["ours"]
    assert [one["id"] for one in reach.fake.comments] == [1]


def test_jobs_that_comment_at_the_same_time_leave_one_comment(reach: Reach) -> None:
    jobs = [
        threading.Thread(target=reach.comment, args=(f"job {number}",))
        for number in range(4)
    ]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
    assert len(reach.ours) == 1


def test_a_token_of_an_app_knows_its_comment_by_the_marker(fake: Forge) -> None:
    reach = Reach("github", fake, token="t-actions")
    fake.add("mallory", f"{MARK}\nfaked")
    reach.comment("first")
    reach.comment("second")
    assert reach.ours == ["faked", "second"]
    reach.open[0].close()
    reach.open[1].close()


@pytest.mark.parametrize(
    ("fault", "kind", "reason", "delay"),
    [
        (Fault(status=500), Temporary, "forge_unavailable", None),
        (Fault(status=502), Temporary, "forge_unavailable", None),
        (Fault(status=409), Temporary, "forge_unavailable", None),
        (Fault(status=503, headers={"Retry-After": "7"}), Temporary, None, 7),
        (Fault(status=429, headers={"Retry-After": "9"}), Temporary, "forge_busy", 9),
        (Fault(status=429), Temporary, "forge_busy", None),
        (Fault(status=429, headers={"Retry-After": "9" * 40}), Temporary, None, 3600),
        (
            Fault(status=403, headers={"X-RateLimit-Remaining": "0"}),
            Temporary,
            "forge_busy",
            60,
        ),
        (Fault(status=403, message="secondary rate limit"), Temporary, None, None),
        (Fault(cut=True), Temporary, "forge_unreachable", None),
        (Fault(status=401), Permanent, "forge_unauthorized", None),
        (Fault(status=403), Permanent, "forge_forbidden", None),
        (Fault(status=404), Permanent, "forge_not_found", None),
        (Fault(status=422, message="no sha"), Permanent, "forge_rejected", None),
    ],
)
def test_what_goes_wrong_says_whether_to_try_again_and_when(
    reach: Reach,
    fault: Fault,
    kind: type[RunError],
    reason: str | None,
    delay: int | None,
) -> None:
    reach.fake.faults.append(fault)
    with pytest.raises(kind) as failure:
        reach.report()
    assert reason in (None, failure.value.reason)
    wait = getattr(failure.value, "delay", None)
    assert wait == (None if delay is None else timedelta(seconds=delay))
    assert fault.message in failure.value.message


def test_a_limit_that_ends_at_an_instant_is_waited_for(reach: Reach) -> None:
    now = SystemClock().now() + timedelta(minutes=5)
    reset = {
        "X-RateLimit-Remaining": "0",
        "X-RateLimit-Reset": f"{now.timestamp():.0f}",
    }
    date = {"Retry-After": now.strftime("%a, %d %b %Y %H:%M:%S GMT")}
    for headers in (reset, date):
        reach.fake.faults.append(Fault(status=429, headers=headers))
        with pytest.raises(Temporary) as failure:
            reach.report()
        assert failure.value.delay is not None
        assert 290 < failure.value.delay.total_seconds() < 301


def test_a_token_is_told_to_nobody(reach: Reach) -> None:
    reach.token = "t-secret-of-nobody"
    with pytest.raises(Permanent) as failure:
        reach.report()
    assert "t-secret" not in str(failure.value)
    assert "***" in failure.value.message
    assert all("t-secret" not in path for _, path, _ in reach.fake.requests)


def test_a_token_that_may_only_read_is_a_clear_refusal(reach: Reach) -> None:
    reach.token = READ_ONLY
    with pytest.raises(Permanent) as failure:
        reach.comment("x")
    assert failure.value.reason == "forge_forbidden"


def test_a_project_that_moved_is_followed_within_its_host(reach: Reach) -> None:
    path = (
        "/repos/team/reports" if reach.kind == "github" else "/projects/team%2Freports"
    )
    to = f"{reach.base}{path}/statuses/{COMMIT}"
    reach.fake.faults.append(Fault(status=307, headers={"Location": to}))
    reach.report()
    assert len(reach.fake.statuses) == 1


def test_no_redirect_takes_the_token_to_another_host(reach: Reach) -> None:
    with a_forge() as other:
        to = f"{other.github}/repos/team/reports/statuses/{COMMIT}"
        reach.fake.faults.append(Fault(status=302, headers={"Location": to}))
        with pytest.raises(Permanent, match="another place"):
            reach.report()
        assert other.requests == []


def test_redirects_in_circles_end(reach: Reach) -> None:
    reach.fake.down = Fault(status=301, headers={"Location": "/api/v3"})
    with pytest.raises(Permanent, match="circles"):
        reach.report()
    assert len(reach.fake.requests) == _api.HOPS + 1


def test_a_forge_that_says_nothing_is_left_in_time(
    reach: Reach, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_api, "PATIENCE", 0.05)
    reach.fake.faults.append(Fault(slow=0.3))
    with pytest.raises(Temporary, match="did not answer"):
        reach.report()


def test_an_answer_without_end_is_cut_off(
    reach: Reach, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_api, "LARGEST_ANSWER", 5)
    with pytest.raises(Temporary, match="more, or slower"):
        reach.comment("x")


def test_what_is_no_answer_of_a_forge_is_an_error_of_ours(reach: Reach) -> None:
    reach.fake.down = Fault(status=200, message="welcome to the proxy")
    with pytest.raises(Temporary, match="something else"):
        reach.comment("x")


@pytest.mark.parametrize("author", ["reporter", [1], None])
def test_a_comment_whose_author_is_no_person_is_nobody_s(
    reach: Reach, author: Any
) -> None:
    theirs = f"{MARK}\nx"
    of_nobody = {"id": 1, "body": theirs, "user": author, "author": author}
    reach.fake.comments.append(of_nobody)
    reach.comment("y")
    assert len(reach.fake.comments) == 2
    assert reach.fake.comments[0]["body"] == theirs


@pytest.mark.parametrize("token", ["schlüssel", "of two\nlines"])
def test_a_token_that_no_header_can_hold_is_a_clear_error(
    reach: Reach, token: str
) -> None:
    reach.token = token
    with pytest.raises(Permanent, match="no request can be made") as failure:
        reach.report()
    assert token not in failure.value.told


def test_nobody_listening_is_temporary(reach: Reach) -> None:
    reach.fake.url = "http://127.0.0.1:1"
    with pytest.raises(Temporary, match="did not answer"):
        reach.report()


def test_an_unknown_project_is_told(reach: Reach) -> None:
    status = CommitStatus(state="success", description="", context="boe")
    with pytest.raises(Permanent, match="does not know"):
        reach.forge("team/other").report(COMMIT, status)
