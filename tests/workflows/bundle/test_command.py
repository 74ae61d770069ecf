"""Names on MONAI's command line, and how a refusal is told."""

from __future__ import annotations

import json
import sys
from types import SimpleNamespace

import pytest

from medtap.errors import InputError, OptionError, OutputError
from medtap.workflows.bundle.command import (
    finish_command,
    named_arguments,
    on_command_line,
    refuse_unknown_names,
    start_command,
    tell_refusal,
)


@pytest.fixture
def config(tmp_path):
    """A config with two names."""
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"seed": 0, "evaluator": {"amp": False}}))
    return path


@pytest.fixture
def command_line(monkeypatch):
    """A function (*arguments) that makes this process look like ``python -m monai.bundle run``."""

    def pretend(*arguments):
        monkeypatch.setattr(sys, "argv", ["/x/monai/bundle/__main__.py", "run", *map(str, arguments)])

    monkeypatch.setattr(sys, "excepthook", sys.__excepthook__)
    return pretend


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ([], {}),
        (["--a", "1", "--b=x"], {"a": 1, "b": "x"}),
        (["--a-b", "x", "-c", "0.5"], {"a_b": "x", "c": 0.5}),
        (["--flag", "--a", "-1"], {"flag": True, "a": -1}),
        (["--a", "['x','y']"], {"a": ["x", "y"]}),
        (["--last"], {"last": True}),
        (["run", "--a", "1"], {"a": 1}),
        (["--a", "1", "--", "--verbose"], {"a": 1}),
    ],
)
def test_names_are_read_as_fire_reads_them(arguments, named):
    assert named_arguments(arguments) == named


@pytest.mark.parametrize("name", ["seed", "evaluator#amp", "evaluator::amp", "run_id", "_meta_#name", "meta-file"])
def test_known_name_passes(config, name):
    refuse_unknown_names(["--config_file", str(config), f"--{name}", "1"])


@pytest.mark.parametrize(("name", "near"), [("sede", "seed"), ("evaluater#amp", "evaluator"), ("rnu_id", "run_id")])
def test_misspelt_name_is_refused_naming_the_nearest(config, name, near):
    with pytest.raises(OptionError, match=f"did you mean '{near}'"):
        refuse_unknown_names(["--config_file", str(config), f"--{name}", "1"])


def test_name_far_from_all_is_refused(config):
    with pytest.raises(OptionError, match="unknown option 'zzz'"):
        refuse_unknown_names(["--config_file", str(config), "--zzz", "1"])


def test_names_of_several_configs_are_known(config, tmp_path):
    (tmp_path / "more.json").write_text('{"shots": 5}')
    refuse_unknown_names(["--config_file", f"['{config}','{tmp_path / 'more.json'}']", "--shots", "1", "--seed", "1"])


def test_names_of_an_arguments_file_are_checked(config, tmp_path):
    arguments = tmp_path / "arguments.json"
    arguments.write_text(json.dumps({"config_file": str(config), "sed": 1}))
    with pytest.raises(OptionError, match="did you mean 'seed'"):
        refuse_unknown_names(["--args_file", str(arguments)])


def test_nothing_is_done_off_the_command_line(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["pytest", "run", "--zzz", "1"])
    hook = sys.excepthook
    start_command()
    finish_command(SimpleNamespace(outcome=SimpleNamespace(exit_code=3)))
    assert not on_command_line()
    assert sys.excepthook is hook


def test_start_checks_names_and_sets_the_hook(config, command_line):
    command_line("--config_file", config, "--sed", "1")
    with pytest.raises(OptionError, match="did you mean 'seed'"):
        start_command()
    assert sys.excepthook is tell_refusal


@pytest.mark.parametrize("argument", ["verify_net_in_out", "ckpt_export"])
def test_other_commands_are_left_alone(monkeypatch, argument):
    monkeypatch.setattr(sys, "argv", ["/x/monai/bundle/__main__.py", argument, "--zzz", "1"])
    assert not on_command_line()


def test_failed_cases_end_with_3(command_line):
    command_line()
    finish_command(SimpleNamespace(outcome=SimpleNamespace(exit_code=0)))
    with pytest.raises(SystemExit) as ended:
        finish_command(SimpleNamespace(outcome=SimpleNamespace(exit_code=3)))
    assert ended.value.code == 3


def test_refusal_is_told_in_one_line(capsys):
    error = RuntimeError("Failed to instantiate")
    error.__cause__ = InputError("there is nothing to segment", file="data")
    with pytest.raises(SystemExit) as ended:
        tell_refusal(RuntimeError, error, None)
    assert ended.value.code == 2
    assert capsys.readouterr().err == "error: data: there is nothing to segment\n"


@pytest.mark.parametrize("remedy", ["choose another --out", "choose another --out, or give --overwrite", "see --out;"])
def test_output_folder_has_the_name_that_bundles_give_it(capsys, remedy):
    with pytest.raises(SystemExit):
        tell_refusal(OutputError, OutputError("it is there", file="a--out/x--out", remedy=remedy), None)
    expected = remedy.replace("--out", "--output_dir")
    assert capsys.readouterr().err == f"error: a--out/x--out: it is there; {expected}\n"


def test_other_errors_keep_their_traceback(capsys):
    tell_refusal(ValueError, ValueError("a bug"), None)
    assert "ValueError: a bug" in capsys.readouterr().err
