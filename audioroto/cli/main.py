"""The command line: the table of verbs, and what happens when something goes wrong."""

import errno
import logging
import sys
from importlib import import_module
from io import TextIOWrapper
from typing import Annotated, Any, cast

import typer
from typer.core import TyperGroup

# Each verb is the module of that name in this folder (with _ for -): a function of that name, or an `app` of sub-verbs.
VERBS = (
    "download",
    "prepare",
    "validate",
    "tokenizer",
    "lm",
    "train-lm",
    "perplexity",
    "train",
    "average",
    "tune",
    "recognize",
    "score",
    "record",
    "results",
    "transcribe",
    "align",
    "export",
    "serve",
    "bench",
    "show",
    "doctor",
)


# What the system's own words for these lack: the next step.
NEXT_STEPS = {
    errno.ENOSPC: "the disk is full; free some space and give the same command again",
    errno.EDQUOT: "your share of the disk is full; free some space and give the same command again",
    errno.EEXIST: "a file lies where a folder is wanted; give another name",
    errno.ENOTDIR: "a file lies where a folder is wanted; give another name",
    errno.EISDIR: "a folder lies where a file is wanted; give another name",
}


class _InOrder(TyperGroup):
    def list_commands(self, ctx: Any) -> list[str]:
        return list(VERBS)


app = typer.Typer(
    cls=_InOrder,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def _audioroto(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks and debug messages.")] = False,
) -> None:
    """Speech recognition: from a folder of speech to a measured recogniser, and from any audio file to text."""
    logging.getLogger("audioroto").setLevel(logging.DEBUG if debug else logging.INFO)


for _verb in VERBS:
    _name = _verb.replace("-", "_")
    _module = import_module(f"audioroto.cli.{_name}")
    if hasattr(_module, "app"):
        app.add_typer(_module.app, name=_verb)
    else:
        app.command(_verb)(getattr(_module, _name))


def main() -> None:
    """Run the command line. Exit status 0: done; 1: some files failed; 2: refused; 130: interrupted, after saving."""
    from audioroto.errors import UserError

    logging.basicConfig(format="%(levelname)s: %(message)s", stream=sys.stderr)
    if sys.stdout:
        cast(TextIOWrapper, sys.stdout).reconfigure(errors="surrogateescape")  # file names go out as they came
    debug = "--debug" in sys.argv
    try:
        app()
    except SystemExit as end:
        if isinstance(end.__context__, BrokenPipeError):
            sys.exit(0)  # the reader of our output has seen enough, for which typer and rich leave with 1
        raise
    except (UserError, OSError, UnicodeEncodeError) as error:
        if debug:
            raise
        print(f"audioroto: {' '.join(_say(error).split())}", file=sys.stderr)
        sys.exit(2)


def _say(error: Exception) -> str:
    if isinstance(error, UnicodeEncodeError):
        if error.encoding == "utf-8":
            return f"{error.object[max(0, error.start - 40) : error.end]!r} cannot be written as UTF-8; rename it"
        return f"{error.object[error.start]!r} cannot be printed in {error.encoding}; use --out, or set PYTHONUTF8=1"
    if isinstance(error, OSError) and error.errno in NEXT_STEPS:
        return ": ".join(filter(None, (error.filename2 or error.filename, NEXT_STEPS[error.errno])))
    return str(error)
