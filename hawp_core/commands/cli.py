"""hawp <command>: every step of the workflow by hand, and what looks at its results."""

import argparse
import importlib
import io
import logging
import signal
import sys
import threading
import traceback
from collections.abc import Sequence
from importlib.metadata import version

from hawp_core.commands.common import check_log
from hawp_core.errors import Interrupted, UserError
from hawp_core.runtime.devices import let_the_cpu_help, sleep_while_waiting
from hawp_core.runtime.extras import EXTRA_OF, how_to_get
from hawp_core.runtime.machine_errors import MACHINE_ERRORS, in_words, lacks_memory
from hawp_core.runtime.progress import start_logging
from hawp_core.runtime.text import first_line
from hawp_core.workflow.record import command_line

DESCRIPTION = """Train your own wireframe parser without labels: synthetic shapes, homographic adaptation, training on
the labels it finds, and again. `snakemake --profile profiles/local rounds=2` runs all of it; the commands below are its
steps, and more."""

COMMANDS = {
    "synthesize": "synthesize",
    "train": "train",
    "homoadp": "homoadp",
    "import-labels": "import_labels",
    "export-labels": "export_labels",
    "evaluate": "evaluate",
    "predict": "predict",
    "report": "report",
    "explore": "explore",
    "plan": "plan",
    "doctor": "doctor",
    "status": "status",
    "lineage": "lineage",
    "verify": "verify",
    "import-checkpoint": "import_checkpoint",
    "export-checkpoint": "export_checkpoint",
    "export-onnx": "export_onnx",
    "settings": "settings",
}

# Exit codes: a user's mistake as argparse has it; stopped by a signal, with the work saved (EX_TEMPFAIL: try again).
MISTAKE, STOPPED, DEFECT = 2, 75, 70


class _Version(argparse.Action):
    """What is installed is looked up for those who ask."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        print(f"hawp-rounds {version('hawp-rounds')}")
        parser.exit()


def build_parser() -> argparse.ArgumentParser:
    """The parser of every command."""
    parser = argparse.ArgumentParser(prog="hawp", description=DESCRIPTION)
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and end")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, module_name in COMMANDS.items():
        module = importlib.import_module(f"hawp_core.commands.{module_name}")
        sub = commands.add_parser(name, help=module.HELP, description=module.DESCRIPTION)
        module.configure(sub)
        sub.set_defaults(run=module.run, parser=sub)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    try:
        return _run(argv)
    except KeyboardInterrupt:  # before the command was known
        print("hawp: interrupted", file=sys.stderr)
        return STOPPED
    finally:
        if argv is None:
            # Of a program only: what Ctrl-C meets now is the interpreter's own end, which would be a traceback.
            signal.signal(signal.SIGINT, signal.SIG_DFL)


def _run(argv: Sequence[str] | None) -> int:
    sleep_while_waiting()
    let_the_cpu_help()
    # A name of other bytes, or of letters that the terminal lacks, is printed as well as it can be.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    parser = build_parser()
    words = sys.argv[1:] if argv is None else argv
    # Python's parser takes this for a list of nothing.
    if odd := next((word for word in words if word.startswith("--") and word.endswith("=--")), None):
        parser.error(f"{odd}: give a value behind the sign")
    args, unknown = parser.parse_known_args(argv)
    # Arguments go to other processes, a parser does not.
    own: argparse.ArgumentParser = vars(args).pop("parser")
    if unknown:  # argparse would show the usage of `hawp` alone
        own.error(f"unrecognized arguments: {' '.join(unknown)}")
    log = logging.getLogger("hawp")
    threading.excepthook = _failed_in_the_background
    try:
        start_logging(None)
        check_log(args)
        start_logging(getattr(args, "log", None), command_line())
        args.run(args)
    except (UserError, OSError) as error:
        if isinstance(error, BrokenPipeError):
            sys.stderr.close()
            return 0
        if isinstance(error, UserError) or error.errno in MACHINE_ERRORS:
            log.error("hawp %s: %s", args.command, error if isinstance(error, UserError) else in_words(error))
            return MISTAKE
        return _defect(args.command)
    except (Interrupted, KeyboardInterrupt) as error:
        log.error("hawp %s: %s", args.command, str(error) or "interrupted")
        return STOPPED
    except ModuleNotFoundError as error:
        module = (error.name or "").partition(".")[0]
        if module not in EXTRA_OF:
            return _defect(args.command)
        log.error("hawp %s: %s", args.command, how_to_get(module))
        return MISTAKE
    except Exception as error:
        if lacks_memory(error):
            log.error(
                "hawp %s: there is not enough memory (%s): ask for less at a time, such as smaller batches or images, or for more of "
                "the machine, and run the same command again; what was finished is kept.", args.command, first_line(error),
            )  # fmt: skip
            return MISTAKE
        return _defect(args.command)
    return 0


def _failed_in_the_background(failure: threading.ExceptHookArgs) -> None:
    """TensorBoard's writer, say: what the machine refuses is one line here as well, before the command itself ends."""
    error = failure.exc_value
    if isinstance(error, OSError) and error.errno in MACHINE_ERRORS:
        logging.getLogger("hawp").warning(in_words(error))
    else:
        threading.__excepthook__(failure)


def _defect(command: str) -> int:
    what = traceback.format_exc()
    logging.getLogger("hawp").error("hawp %s: this is a defect of the program, please report it:\n%s", command, what)
    return DEFECT


if __name__ == "__main__":
    sys.exit(main())
