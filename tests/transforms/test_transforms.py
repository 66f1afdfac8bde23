"""What a transform may rely on, and what it cannot do to anybody else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from boe_reconciler.core.errors import Cancelled, Permanent, Temporary
from boe_reconciler.transforms.children import PRINTED, Children
from boe_reconciler.transforms.isolated import ChildTransforms
from tests.folders import until
from tests.sources.conftest import ByHand
from tests.transforms.conftest import SECRET, Run, a_code, a_table

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits this")
SAME = "def widen(frame):\n    return frame"


def failure(run: Run, text: str, **more: Any) -> Permanent | Temporary:
    with pytest.raises((Permanent, Temporary)) as error:
        run(text, **more)
    return error.value


# --- Rows ---------------------------------------------------------------------------


def test_values_come_back_as_they_went(run: Run) -> None:
    rows = pa.table(
        {
            "whole": pa.array([2**63 - 1, None], pa.int64()),
            "money": pa.array([Decimal("1234567890123456.78"), None]),
            "day": pa.array([date(2026, 11, 24), None]),
            "moment": pa.array(
                [datetime(2026, 11, 24, tzinfo=UTC), None], pa.timestamp("us", "UTC")
            ),
            "text": pa.array(["Łódź", None], pa.large_string()),
            "real": pa.array([0.1, None]),
            "yes": pa.array([True, None]),
            "list": pa.array([[1, 2], None]),
        }
    )
    assert run(SAME, rows) == rows


def test_no_rows_are_rows_too(run: Run) -> None:
    rows = pa.table({"n": pa.array([], pa.int64())})
    assert run(SAME, rows) == rows


def test_the_function_makes_other_columns_and_rows(run: Run) -> None:
    text = """
        import pandas as pd

        def widen(frame):
            sums = frame.assign(even=frame.n % 2 == 0).groupby("even").sum()
            assert frame.attrs["sheet"] == "Sales"
            return sums
        """
    found = run(text)
    # What groupby made the index is a column.
    assert found.to_pydict() == {"even": [False, True], "n": [4, 2]}


def test_pandas_own_types_become_arrows(run: Run) -> None:
    text = """
        import pandas as pd

        def widen(frame):
            return pd.DataFrame({"f": [1.5, None], "s": ["a", None], 3: [1, 2]})
        """
    found = run(text)
    assert found.to_pydict() == {"f": [1.5, None], "s": ["a", None], "3": [1, 2]}
    assert found.schema.metadata is None


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        ("None", "returned a NoneType, not a DataFrame"),
        ("frame.n", "returned a Series, not a DataFrame"),
        ("frame[[]]", "it has no columns"),
        ("frame.assign(x=[1, 'a', b'b'])", "column x"),
        ("frame.assign(x=[object()] * 3)", "column x"),
        (
            "frame.set_axis(['a'], axis=1).assign(b=1).set_axis(['a', 'a'], axis=1)",
            "'a'",
        ),
        ("frame.rename_axis('n')", "n"),
        ("frame.set_axis(pd.MultiIndex.from_tuples([('a', 'b')]), axis=1)", "levels"),
    ],
)
def test_what_is_no_table_is_told(run: Run, returned: str, said: str) -> None:
    text = f"import pandas as pd\ndef widen(frame):\n    return {returned}"
    error = failure(run, text)
    assert error.reason == "transform_failed"
    assert error.message.startswith(("shapes.margin:widen", "What shapes.margin:widen"))
    assert said in error.message


# --- What goes wrong ------------------------------------------------------------------


def test_an_exception_is_told_with_the_users_own_lines_alone(run: Run) -> None:
    text = """
        def widen(frame):
            return inner(frame)

        def inner(frame):
            return frame["margin"]
        """
    error = failure(run, text)
    assert (type(error), error.reason) == (Permanent, "transform_failed")
    assert error.message.splitlines() == [
        "shapes.margin:widen failed:",
        "shapes/margin.py:3 in widen: return inner(frame)",
        'shapes/margin.py:6 in inner: return frame["margin"]',
        "KeyError: 'margin'",
    ]


def test_an_exception_may_hold_anything_and_the_beginning_is_told(run: Run) -> None:
    for raised in ("'z' * 1_000_000", "chr(0xDCFF) * 1_000_000"):
        error = failure(run, f"def widen(frame):\n    raise ValueError({raised})")
        assert error.reason == "transform_failed"
        assert len(error.message.encode()) < 5000


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import sys\ndef widen(frame):\n    sys.exit(7)", "SystemExit: 7"),
        ("raise ValueError('at the top')\ndef widen(frame): ...", "at the top"),
        ("import shapes.other\ndef widen(frame): ...", "No module named 'shapes'"),
    ],
)
def test_leaving_or_failing_at_the_top_is_a_failure_like_others(
    run: Run, text: str, said: str
) -> None:
    error = failure(run, text)
    assert error.reason == "transform_failed"
    assert said in error.message


@LINUX
@pytest.mark.parametrize(
    "greed",
    [
        "bytearray(10**9)",
        "import numpy; numpy.ones(10**9)",
        "import pyarrow; pyarrow.allocate_buffer(10**9)",
        "held = [bytearray(10**6) for _ in range(10**4)]",
    ],
)
def test_memory_beyond_the_limit_ends_the_run_with_the_limits_name(
    run: Run, greed: str
) -> None:
    error = failure(run, f"def widen(frame):\n    {greed}\n    return frame")
    assert (type(error), error.reason) == (Permanent, "out_of_memory")
    assert "300MB" in error.message
    assert "BOE_CHILD_MEMORY" in error.help
    assert run(SAME).num_rows == 3


def test_a_crash_is_told_with_its_signal_and_harms_nobody_else(
    run: Run, children: Children
) -> None:
    slow = "import time\ndef widen(frame):\n    time.sleep(0.5)\n    return frame"
    found: list[pa.Table] = []
    other = threading.Thread(target=lambda: found.append(run(slow)))
    other.start()
    crash = "import ctypes\ndef widen(frame):\n    print('hi')\n    ctypes.string_at(0)"
    error = failure(run, crash)
    other.join()
    assert (type(error), error.reason) == (Permanent, "child_crashed")
    assert "(SIGSEGV)" in error.message
    assert found[0].num_rows == 3


def test_an_end_without_an_answer_is_no_success(run: Run) -> None:
    for code in (0, 3):
        error = failure(run, f"import os\ndef widen(frame):\n    os._exit({code})")
        assert error.reason == "child_crashed"
        assert f"exit code {code}" in error.message


def test_a_child_that_somebody_else_ends_is_tried_again(run: Run) -> None:
    error = failure(run, "import os\ndef widen(frame):\n    os.kill(os.getpid(), 9)")
    assert (type(error), error.reason) == (Temporary, "child_killed")


def test_rows_that_were_forged_are_refused(run: Run) -> None:
    text = """
        import atexit, os
        from boe_reconciler.transforms import child

        def widen(frame):
            open("output", "wb").write(b"not arrow at all")
            child._tasks.send_answer = lambda line, answer: line.sendall(b"{}")
            import pyarrow
            pyarrow.OSFile = lambda *_: open(os.devnull, "wb")
            return frame
        """
    error = failure(run, text)
    assert (type(error), error.reason) == (Permanent, "child_crashed")
    assert "cannot be read" in error.message


# --- Stopping it ------------------------------------------------------------------------

HANGS = {
    "it waits": "time.sleep(600)",
    "it is busy": "sum(range(10**12))",
    "it lets no signal in": "signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)",
    (WORST := "it holds the interpreter"): "re.match('(a+)+$', 'a' * 64 + 'b')",
}


@pytest.mark.parametrize(
    "how",
    [
        pytest.param(how, marks=pytest.mark.slow if how != WORST else ())
        for how in HANGS
    ],
)
def test_a_hanging_transform_is_killed_by_a_cancel(run: Run, how: str) -> None:
    text = f"import re, signal, time\ndef widen(frame):\n    {HANGS[how]}"
    cancel = ByHand()
    timer = threading.Timer(0.5, cancel.pull)
    timer.start()
    began = time.monotonic()
    with pytest.raises(Cancelled):
        run(text, cancel=cancel)
    assert time.monotonic() - began < 8
    assert cancel.callbacks == []


def test_what_is_stopped_while_it_is_fed_ends_at_once(children: Children) -> None:
    cancel = ByHand()
    table = a_table(pa.table({"n": pa.array(range(100_000))}))

    def endless() -> Any:
        while True:
            yield pa.record_batch({"n": pa.array(range(10_000))})
            cancel.check()

    hungry = type(table)(name="S", schema=table.schema, batches=endless())
    threading.Timer(0.3, cancel.pull).start()
    with pytest.raises(Cancelled):
        ChildTransforms(children=children).run(a_code(SAME), hungry, cancel)


def test_no_child_outlives_a_main_process_that_was_killed(tmp_path: Path) -> None:
    assert_child_ends(tmp_path, HANGS[WORST], "main")


@pytest.mark.slow
@pytest.mark.parametrize("how", HANGS)
@pytest.mark.parametrize("whom", ["main", "server"])
def test_no_child_outlives_whoever_was_killed_above_it(
    tmp_path: Path, how: str, whom: str
) -> None:
    assert_child_ends(tmp_path, HANGS[how], whom)


def assert_child_ends(scratch: Path, hangs: str, whom: str) -> None:
    command = [sys.executable, "-c", ASKS, hangs, str(scratch)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        child, server = map(int, process.stdout.readline().split())
        os.kill(process.pid if whom == "main" else server, signal.SIGKILL)
        until(lambda: not alive(child) and not alive(server), 2)
        process.kill()


def alive(pid: int) -> bool:
    """Whether it runs: one that nobody waited for yet is dead as well."""
    done = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, check=False
    )
    return bool(done.stdout) and not done.stdout.startswith(b"Z")


#: A main process with a child that hangs.
ASKS = """
import sys, time
from pathlib import Path
from boe_reconciler.core.ports import Code
from boe_reconciler.transforms._tasks import Transform
from boe_reconciler.transforms.children import Children
import pyarrow as pa

hangs, scratch = sys.argv[1:]
children = Children(
    scratch=Path(scratch), memory=10**9, environment={}, preload=["pandas"]
)
text = f"import os, re, signal, time\\nopen('pid', 'w').write(f'{{os.getpid()}}.')\\n{hangs}"
code = Code(path="a.py", text=text, function="a")
child = children.start(Transform(code=code, sheet=""), "a test")
with pa.ipc.new_stream(child.rows, pa.schema([("n", pa.int64())])):
    pass
child.rows.close()
pid = child.folder / "pid"
while not pid.exists() or not pid.read_text().endswith("."):
    time.sleep(0.01)
print(pid.read_text()[:-1], children._server._process.pid, flush=True)
time.sleep(600)
"""


# --- What it prints ------------------------------------------------------------------------


def test_what_it_prints_is_kept_but_not_all_of_it(children: Children) -> None:
    text = """
        import os, sys

        def widen(frame):
            print("first")
            os.system("echo from a program")
            print("x" * 1_000_000)
            print("last", file=sys.stderr)
            return frame
        """
    table = a_table(pa.table({"n": [1]}))
    done = ChildTransforms(children=children).run(a_code(text), table, ByHand())
    done.rows.close()
    assert "from a program" in done.printed
    assert done.printed.endswith("last\n")
    assert "bytes …" in done.printed
    assert len(done.printed) < 2 * PRINTED + 100


# --- What it cannot reach ---------------------------------------------------------------------


@LINUX
def test_no_secret_is_anywhere_in_its_process(run: Run) -> None:
    words = SECRET.split()
    text = f"""
        import os, pandas as pd

        def widen(frame):
            looked_for = " ".join({words!r}).encode()
            found = []
            for name in ("environ", "cmdline"):
                if looked_for in open(f"/proc/self/{{name}}", "rb").read():
                    found.append(name)
            if looked_for.decode() in os.environ.values():
                found.append("os.environ")
            memory = open("/proc/self/mem", "rb", 0)
            at, read = id(looked_for), 0
            for line in open("/proc/self/maps"):
                start, end = (int(x, 16) for x in line.split()[0].split("-"))
                if "rw" not in line.split()[1] or end - start > 2**30:
                    continue
                memory.seek(start)
                try:
                    data = memory.read(end - start)
                except OSError:
                    continue
                read += len(data)
                place = data.find(looked_for)
                while place >= 0:
                    if not at <= start + place < at + 200:
                        found.append("memory")
                    place = data.find(looked_for, place + 1)
                del data
            assert read > 10**6
            return pd.DataFrame({{"found": [",".join(found)]}})
        """
    assert run(text).to_pydict() == {"found": [""]}


@LINUX
def test_it_cannot_look_into_other_processes(run: Run) -> None:
    text = """
        import os, pandas as pd

        def widen(frame):
            denied = []
            for pid in (os.getppid(), %d):
                for name in ("environ", "mem"):
                    try:
                        open(f"/proc/{pid}/{name}", "rb").read(1)
                    except PermissionError:
                        denied.append(name)
            return pd.DataFrame({"denied": denied})
        """
    found = run(text % os.getpid())
    assert found.to_pydict() == {"denied": ["environ", "mem"] * 2}


@LINUX
def test_it_reads_and_writes_nothing_but_its_folder(run: Run, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("s")
    text = f"""
        import os, tempfile, pandas as pd
        from pathlib import Path

        def widen(frame):
            done = []
            Path("mine.txt").write_text("x")
            tempfile.TemporaryFile().close()
            for what in ("read_text", "read_bytes", "unlink"):
                try:
                    getattr(Path({str(tmp_path)!r}, "secret.txt"), what)()
                    done.append(what)
                except PermissionError:
                    pass
            try:
                Path({str(tmp_path)!r}, "new.txt").touch()
                done.append("touch")
            except PermissionError:
                pass
            here = Path.cwd()
            assert Path.home() == here == Path(tempfile.gettempdir())
            assert here.name.startswith("child-")
            return pd.DataFrame({{"done": [",".join(done)]}})
        """
    assert run(text).to_pydict() == {"done": [""]}
    assert (tmp_path / "secret.txt").exists()


def test_each_call_begins_as_if_there_had_been_none_before(run: Run) -> None:
    text = """
        import pandas as pd
        before = getattr(pd, "calls", 0)
        pd.calls = before + 1

        def widen(frame):
            return pd.DataFrame({"before": [before]})
        """
    for _ in range(2):
        assert run(text).to_pydict() == {"before": [0]}


@LINUX
def test_what_it_started_ends_with_it(run: Run) -> None:
    text = """
        import subprocess, pandas as pd

        def widen(frame):
            pids = [
                subprocess.Popen(["sleep", "600"], start_new_session=new).pid
                for new in (True, False)
            ]
            return pd.DataFrame({"pid": pids})
        """
    pids = run(text).column("pid").to_pylist()
    end = time.monotonic() + 5
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        assert time.monotonic() < end
        time.sleep(0.02)
