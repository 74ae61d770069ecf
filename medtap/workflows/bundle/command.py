"""What a bundle adds to ``python -m monai.bundle run``: names are checked, refusals told in a line, exit codes kept.

All of it does nothing where a config is parsed by a program: `monai.bundle.load`, a ConfigWorkflow, a host.
"""

from __future__ import annotations

import inspect
import re
import sys
import warnings
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any

from monai.bundle import ConfigParser, ConfigWorkflow, run

from medtap.errors import medtap_cause
from medtap.options import refuse_unknown
from medtap.workflows.bundle.case_run import CaseRun

_FLAG = re.compile(r"--|-[A-Za-z]")
_OUT = re.compile(r"(?<=\s)--out(?=[\s,;]|$)")  # what medtap's own command line calls a bundle's output_dir
_COMMANDS = ("run", "run_workflow")


def start_command() -> None:
    """Refuse misspelt names and see to it that refusals are told in a line; stands under ``initialize``.

    Raises:
        OptionError: a name on the command line or in its ``--args_file`` is unknown.
    """
    if on_command_line():
        sys.excepthook = tell_refusal
        warnings.filterwarnings("ignore", message="NvImgCodecPydicomReader")  # LoadImaged makes readers not used here
        refuse_unknown_names(sys.argv[2:])


def finish_command(run: CaseRun) -> None:
    """End with exit code 3 when some cases failed; stands under ``finalize``."""
    if on_command_line() and run.outcome.exit_code:
        sys.exit(run.outcome.exit_code)


def on_command_line() -> bool:
    """Whether this process is ``python -m monai.bundle run`` (or ``run_workflow``)."""
    program = Path(sys.argv[0]).parts[-3:]
    return program == ("monai", "bundle", "__main__.py") and sys.argv[1:2] != [] and sys.argv[1] in _COMMANDS


def tell_refusal(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """An excepthook: one line and exit code 2 for what medtap refuses, a traceback for everything else."""
    cause = medtap_cause(error)
    if cause is None:
        sys.__excepthook__(kind, error, trace)
        return
    sys.stderr.write(f"error: {_OUT.sub('--output_dir', str(cause))}\n")
    sys.exit(2)


def refuse_unknown_names(arguments: Sequence[str]) -> None:
    """Refuse names that neither the configs given nor MONAI know; MONAI itself would pass over them.

    Args:
        arguments: of ``python -m monai.bundle run``, after the command.

    Raises:
        OptionError: at least one top-level name is unknown; the nearest known one is named.
    """
    given = named_arguments(arguments)
    if "args_file" in given:
        given = ConfigParser.load_config_file(given["args_file"]) | given
    known = {*_parameters(run), *_parameters(ConfigWorkflow), "workflow_name", ConfigParser.meta_key}
    known |= ConfigParser.load_config_files(given["config_file"]).keys()
    refuse_unknown([re.split("#|::", name)[0] for name in given], known)


def named_arguments(arguments: Sequence[str]) -> dict[str, Any]:
    """Names and values of a command line as ``fire`` understands them: ``--a 1``, ``--a=1``, ``-a 1``, ``--flag``."""
    from fire.parser import DefaultParseValue

    given: dict[str, Any] = {}
    for argument, after in pairwise([*arguments, "--"]):
        if argument == "--":  # what follows is for fire itself
            break
        if _FLAG.match(argument):
            name, equals, value = argument.lstrip("-").partition("=")
            value = value if equals else "True" if _FLAG.match(after) else after
            given[name.replace("-", "_")] = DefaultParseValue(value)
    return given


def _parameters(function: Callable[..., Any]) -> set[str]:
    parameters = inspect.signature(function).parameters.values()
    return {parameter.name for parameter in parameters if parameter.kind is not parameter.VAR_KEYWORD}
