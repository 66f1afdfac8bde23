"""The `boe` command: its options, its groups, and what each end of it means."""

# Without annotations as text: typer would have each compiled three times.
import os
import sys
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.exceptions import TyperException

from boe_reconciler.app import installed_version
from boe_reconciler.cli.door import (
    Door,
    close_all,
    of_the_state,
    redacted,
    without_environment,
)
from boe_reconciler.cli.output import complain
from boe_reconciler.cli.values import read_plainly
from boe_reconciler.clock import SystemClock
from boe_reconciler.core.errors import BoeError, InputError

OK, WRONG, OURS, INTERRUPTED = 0, 1, 3, 130

#: Command -> the module of this package that has it, imported on use, and what the list
#: of commands says of it: its docstring's first sentence, so that none is imported for that.
COMMANDS = {
    "init": (
        "starting",
        "Write a small repo that runs at once, and that a team can use.",
    ),
    "new": ("starting", "Write one file to start from, with comments."),
    "validate": ("validating", "Check the YAML: every mistake at once, at its line."),
    "plan": ("planning", "Show what a change would do, before it does it."),
    "next": ("nextruns", "Show when schedules are due next."),
    "simulate": ("simulating", "Show what would run, what would not, and why."),
    "explain": ("explaining", "Say why it will or will not run, or what became of it."),
    "run": ("serving", "Serve: run what is due, until Ctrl-C."),
    "trigger": ("asking", "Run a schedule now."),
    "resend": ("asking", "Send the stored file of a run again."),
    "rerun": ("rerunning", "Run again: a run, all that failed, or a range."),
    "status": ("history", "Show what is served, paused, ran last and is next."),
    "runs": ("history", "List runs, the newest first, and why one did not run."),
    "show": ("history", "Show one run: attempts, files, deliveries, events."),
    "pause": ("control", "Start nothing more of a schedule, or of many."),
    "resume": ("control", "Take a pause off that `boe pause` put on."),
    "cancel": ("control", "Stop a run, or keep one that waits from starting."),
    "release": (
        "releasing",
        "Let go on what waits for a person; without arguments, list it.",
    ),
    "recipients": (
        "receiving",
        "Show all that an address receives, and where else it stands.",
    ),
    "suppressed": (
        "suppressing",
        "Show who is on the suppression list: they get no mail.",
    ),
    "suppress": (
        "suppressing",
        "Send no mail to an address any more, whatever names it.",
    ),
    "unsuppress": ("suppressing", "Send mail to an address again."),
    "import": ("importing", "Turn the older BOE's JSON requests into YAML."),
    "schema": ("schemas", "Print the JSON Schema of the YAML, for editors."),
    "doctor": ("doctoring", "Check the state folder, and what BOE stands on."),
    "backup": ("backups", "Copy the state folder into one file, also a served one."),
    "restore": ("backups", "Make the state folder out of a backup."),
}


class _Commands(TyperGroup):
    """The commands of the table; a name that is none loads all, to suggest one."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in self.commands:
            named = [COMMANDS[cmd_name]] if cmd_name in COMMANDS else COMMANDS.values()
            self._load(module for module, _ in named)
        return self.commands.get(cmd_name)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        room = formatter.width - 6 - max(map(len, COMMANDS))
        listed = [TyperCommand(name, help=said) for name, (_, said) in COMMANDS.items()]
        rows = [(one.name, one.get_short_help_str(room)) for one in listed]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def _load(self, modules: Iterable[str]) -> None:
        group = typer.Typer(rich_markup_mode=None)
        for module in dict.fromkeys(modules):
            import_module(f"boe_reconciler.cli.{module}").add_to(group)
        loaded = typer.main.get_group(group).commands
        for command in loaded.values():
            read_plainly(command)
            _help_plainly(command)
        self.commands.update(loaded)


def _help_plainly(command: Any) -> None:
    """Without what Typer adds of Python: `<list[str]>`, `x>=1`, braces.

    The usage line names the arguments, and the text below it says what they are.
    """
    for parameter in command.params:
        parameter.min = parameter.max = None  # shown only; its type still checks them
        if parameter.param_type_name != "argument":
            continue
        parameter.hidden = True
        if parameter.required:
            several = "..." if parameter.nargs != 1 else ""
            usage = [f"{parameter.metavar}{several}"]
            parameter.get_usage_pieces = lambda _, usage=usage: usage


boe = typer.Typer(
    name="boe",
    cls=_Commands,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"boe {installed_version()}")
        raise typer.Exit


@boe.callback()
def options(
    context: typer.Context,
    directory: Annotated[
        Path | None,
        typer.Option("-C", metavar="DIR", help="Act as if started in this folder."),
    ] = None,
    state: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="The state folder (default: .boe in -C)."),
    ] = None,
    env: Annotated[
        str | None, typer.Option(metavar="NAME", help="An Environment to overlay.")
    ] = None,
    log_format: Annotated[
        str, typer.Option(metavar="text|json", help="How log lines are written.")
    ] = "text",
    _: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_version,
            is_eager=True,
            help="Print the version and end.",
        ),
    ] = False,
) -> None:
    """Scheduled report exports from git: YAML in, delivered files out."""
    if log_format not in ("text", "json"):
        raise InputError(f"--log-format: {log_format!r} is neither text nor json.")
    context.obj = Door(root=directory, state=state, env=env, log_format=log_format)


def run(arguments: list[str]) -> int:
    """Run one command; its exit code. Nothing of ours ends in a traceback."""
    try:
        _check_readable(arguments)
        return _invoke(arguments)
    except (typer.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except (BoeError, TyperException) as error:
        complain(*_told(error))
        return WRONG
    except (BrokenPipeError, SystemExit):
        # Typer and rich make a SystemExit of a pipe that was closed.
        return _closed_pipe()
    except Exception as error:
        told = of_the_state(error) if isinstance(error, OSError) else None
        if told is None:
            return _report(error, arguments)
        complain(*told)
        return WRONG


def _check_readable(arguments: list[str]) -> None:
    """InputError for bytes that are no text: no file and no ledger could keep them."""
    for one in arguments:
        if not one.isascii() and one.encode(errors="replace").decode() != one:
            shown = one.encode(errors="surrogateescape").decode(
                errors="backslashreplace"
            )
            raise InputError(f"{shown} is not UTF-8.", "Write it in UTF-8.")


def _invoke(arguments: list[str]) -> int:
    if not arguments:
        arguments = ["--help"]
    command = typer.main.get_command(boe)
    read_plainly(command)
    try:
        result = command.main(arguments, prog_name="boe", standalone_mode=False)
        sys.stdout.flush()
    finally:
        close_all()
    return result if isinstance(result, int) else OK


def _told(error: BoeError | TyperException) -> tuple[str, str]:
    """What is wrong, and what to do."""
    if isinstance(error, BoeError):
        return redacted(error.message), redacted(error.help)
    context = getattr(error, "ctx", None)
    message = str(getattr(error, "format_message", error.__str__)())
    message = message.replace("Value error, ", "")
    return message, f"See `{context.command_path} --help`." if context else ""


def _closed_pipe() -> int:
    """Whoever read our output (`| head`) has seen enough."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return OK


def _report(error: Exception, arguments: list[str]) -> int:
    """Write a file that can be attached to a bug report as it is."""
    import platform
    import traceback

    lines = (
        "# boe: an error of its own",
        f"command: boe {' '.join(arguments)}",
        f"version: {installed_version()}",
        f"python: {sys.version.split()[0]} on {platform.platform()}",
        "",
        "".join(traceback.format_exception(error)),
    )
    path = _write_report(without_environment(redacted("\n".join(lines))))
    told = f"BOE itself failed: {type(error).__name__}: {error}"
    complain(
        without_environment(redacted(told)),
        f"That is our fault. Please attach {path} to a bug report.",
    )
    return OURS


def _write_report(text: str) -> Path:
    """Beside the user, or where anybody may write."""
    import tempfile

    name = f"boe-error-{SystemClock().now():%Y%m%d-%H%M%S}-{os.getpid()}.log"
    try:
        path = Path.cwd() / name
        path.write_text(text, encoding="utf-8")
    except OSError:
        path = Path(tempfile.gettempdir()) / name
        path.write_text(text, encoding="utf-8")
    return path
