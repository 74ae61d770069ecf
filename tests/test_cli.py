"""The command line: exit codes, one-line refusals, and the whole job without a network."""

from __future__ import annotations

import json
import socket
import sys

import pytest
from PIL import Image

from medtap import cli


@pytest.fixture
def medtap(monkeypatch, capsys):
    """A function (*words) -> (exit code, standard output, standard error)."""

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["medtap", *map(str, words)])
        with pytest.raises(SystemExit) as left:
            cli.main()
        printed = capsys.readouterr()
        return left.value.code, printed.out, printed.err

    return run


@pytest.fixture
def adapt_words(lesions, tiny_folder):
    """A command that adapts the tiny network, all but its output folder."""
    words = ["adapt", "--network", tiny_folder, "--support-images", lesions[0], "--support-masks", lesions[1]]
    return [*words, "--shots", 2, "--passes", 1]


@pytest.fixture
def offline(monkeypatch):
    """No sockets."""

    def refuse(*_, **__):
        raise OSError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)


@pytest.mark.usefixtures("offline")
def test_the_whole_job_offline(medtap, adapt_words, lesions, tmp_path):
    code, out, _ = medtap(*adapt_words, "--classes", "mole", "--out", tmp_path / "adapter")
    assert code == 0
    assert "to mole on 2 images, support loss" in out
    adapter = ["--adapter", tmp_path / "adapter", "--images", lesions[0]]
    code, out, err = medtap("predict", *adapter, "--out", tmp_path / "found")
    assert code == 0
    assert "6 cases done, 0 failed, 0 files skipped" in out
    assert f"report for people: {tmp_path / 'found' / 'report.html'}" in out
    assert "warning: 2 of the images are in the support set" in err
    code, out, _ = medtap("evaluate", *adapter, "--masks", lesions[1], "--out", tmp_path / "scores")
    assert code == 0
    assert "Dice" in out
    assert json.loads((tmp_path / "scores" / "metrics.json").read_text())["classes"] == ["mole"]
    assert medtap("info", tmp_path / "adapter")[1].startswith("network")


def test_lacking_and_self_support_reach_the_job(medtap, adapt_words, lesions, tmp_path):
    Image.new("L", (60, 40)).save(lesions[1] / "case2_segmentation.png")
    code, out, _ = medtap(*adapt_words, "--lacking", 1, "--out", tmp_path / "adapter")
    assert code == 0
    assert "on 2 images and 1 that show none, support loss" in out
    words = ["predict", "--adapter", tmp_path / "adapter", "--images", lesions[0], "--self-support"]
    assert medtap(*words, "--no-presence", "--out", tmp_path / "found")[0] == 0
    options = json.loads((tmp_path / "found" / "run.json").read_text())["options"]
    assert (options["self_support"], options["presence"]) == (True, False)


def test_failed_cases_give_exit_code_3(medtap, skin_adapter, lesions, tmp_path):
    (lesions[0] / "broken.png").write_text("no picture")
    words = ["--adapter", skin_adapter, "--images", lesions[0]]
    code, out, err = medtap("predict", *words, "--out", tmp_path / "found")
    assert code == 3
    assert "6 cases done, 1 failed" in out
    assert f"failed: {lesions[0] / 'broken.png'}: not a readable image" in err
    assert (tmp_path / "found" / "failed.csv").is_file()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--method", "lara"], "lora"),
        (["--network", "medtap-ato"], "did you mean 'medtap-atto'?"),
        (["--layout", "isic207"], "isic2017"),
        (["--axis", "axail"], "axial"),
        (["--device", "tpu"], "no device is called 'tpu'; expected auto, cpu or cuda"),
        (["--shots", "0"], "shots"),
        (["--passes", "-1"], "passes of at least 0, not -1"),
        (["--patience", "-1"], "patience of at least 0, not -1"),
        (["--schedule", "per_pas"], "a schedule of per_pass or per_group or per_support, not 'per_pas'"),
        (["--rank", "0"], "rank"),
        (["--support-images", "nowhere"], "nowhere"),
    ],
)
def test_refusals_are_one_line_and_exit_code_2(medtap, adapt_words, tmp_path, words, message):
    code, out, err = medtap(*adapt_words, *words, "--out", tmp_path / "adapter")
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert message in err
    assert not (tmp_path / "adapter").exists()


@pytest.mark.parametrize(
    ("words", "nearest"),
    [
        (["adapt", "--support-image", "a", "--out", "b"], "--support-images"),
        (["predict", "--adaptor", "a", "--images", "b", "--out", "c"], "--adapter"),
        (["evaluate", "--mask-treshold", "127"], "--mask-threshold"),
    ],
)
def test_an_unknown_option_names_the_nearest(medtap, words, nearest):
    code, _, err = medtap(*words)
    assert code == 2
    assert "No such option" in err
    assert nearest in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["predct"], "predict"),
        (["adapt", "--shots", "five"], "--shots"),
        (["adapt"], "Missing option"),
    ],
)
def test_other_mistakes_of_typing_are_exit_code_2(medtap, words, said):
    code, _, err = medtap(*words)
    assert code == 2
    assert said in err
    assert "Traceback" not in err


def test_a_finished_run_is_only_replaced_when_told_to(medtap, adapt_words, tmp_path):
    assert medtap(*adapt_words, "--out", tmp_path / "adapter")[0] == 0
    code, _, err = medtap(*adapt_words, "--out", tmp_path / "adapter")
    assert code == 2
    assert "give --overwrite to replace it" in err
    assert medtap(*adapt_words, "--out", tmp_path / "adapter", "--overwrite")[0] == 0


@pytest.mark.parametrize("command", ["adapt", "predict", "evaluate", "demo", "benchmark", "pretrain", "info"])
def test_every_command_tells_of_itself(medtap, command):
    code, out, _ = medtap(command, "--help")
    assert code == 0
    assert "Usage:" in out
    assert f"medtap {command}" in " ".join(out.split())


def test_info_of_something_unknown_is_refused(medtap):
    code, _, err = medtap("info", "network")
    assert (code, err.count("\n")) == (2, 1)
    assert "nothing is known of 'network'" in err


def test_errors_of_our_own_keep_their_traceback(monkeypatch):
    monkeypatch.setattr("medtap.workflows.info.describe", lambda _: 1 / 0)
    monkeypatch.setattr(sys, "argv", ["medtap", "info", "methods"])
    with pytest.raises(ZeroDivisionError):
        cli.main()
