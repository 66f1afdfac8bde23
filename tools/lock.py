"""Write requirements.lock: every package that may be installed, pinned and hashed.

One file for uv and for pip, in four parts: what builds, what runs, what developers
need besides, and what benchmarks compare with. docs/decisions/0002-one-lock-file.md
says why. Needs uv; `--upgrade` moves pins, otherwise they stay where they still fit.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
LOCK = ROOT / "requirements.lock"
HEAD = "# Made by `make lock` from pyproject.toml. Parts: build, run, develop, bench.\n"


def main() -> None:
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]
    pins = "" if "--upgrade" in sys.argv[1:] else LOCK.read_text()
    everything = compile_pins(
        build["requires"], ["--all-extras", "pyproject.toml"], pins
    )
    pins = "".join(everything.values())
    builds = compile_pins(build["requires"], [], pins)
    runs = compile_pins([], ["--extra=demo", "pyproject.toml"], pins)
    extras = [f"--extra={name}" for name in ("demo", "azure", "gcs", "dev")]
    develops = compile_pins([], [*extras, "pyproject.toml"], pins)
    needs = {"build": builds, "run": runs, "develop": develops, "bench": everything}
    parts: dict[str, list[str]] = {part: [] for part in needs}
    for pin, text in everything.items():
        name = pin.partition("==")[0]
        parts[_part(name, needs)].append(text)
    LOCK.write_text(
        HEAD + "".join(f"\n# --- {name}\n{''.join(parts[name])}" for name in parts)
    )


def _part(name: str, needs: dict[str, dict[str, str]]) -> str:
    """The first part that needs the package: it holds its widest pin."""
    return next(
        part
        for part, pins in needs.items()
        if any(pin.startswith(f"{name}==") for pin in pins)
    )


def compile_pins(needs: list[str], options: list[str], pins: str) -> dict[str, str]:
    """Resolve for every platform: a package's first line -> all its lines.

    `pins` is an older answer, whose versions are kept where they fit.
    """
    with tempfile.TemporaryDirectory() as folder:
        answer, wanted = Path(folder, "answer.txt"), Path(folder, "wanted.in")
        answer.write_text(pins)
        wanted.write_text("\n".join(needs))
        command = "uv pip compile --quiet --universal --generate-hashes".split()
        command += (
            "--no-annotate --no-header --no-emit-index-url --no-strip-extras".split()
        )
        subprocess.run(
            [*command, f"--output-file={answer}", *options, wanted],
            cwd=ROOT,
            check=True,
        )
        blocks = re.split(r"(?m)^(?=[a-z0-9])", answer.read_text())
    return {block.partition("\n")[0]: block for block in blocks if block}


if __name__ == "__main__":
    main()
