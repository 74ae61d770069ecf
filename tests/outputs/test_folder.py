"""A run's folder: refused before work, resumed after a kill, taken over when told to."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from medtap.errors import OutputError
from medtap.outputs import RunFolder, atomic_write
from medtap.outputs.atomic import TEMPORARY_PREFIX

OPTIONS = {"seed": 0, "rate": 1e-7, "images": Path("in")}


def open_run(path, options=OPTIONS, overwrite=False, inputs=()):
    return RunFolder(path, inputs=inputs, options=options, overwrite=overwrite)


def write(run, name, text="mask"):
    with atomic_write(run.file(name)) as temporary:
        temporary.write_text(text)


def interrupt(path, *names, options=OPTIONS):
    """A run that writes some files and then fails."""
    run = open_run(path, options)
    run.__enter__()
    for name in names:
        write(run, name)
    run.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)


def state(path):
    return json.loads((path / "run.json").read_text())


def test_a_run_from_start_to_end(tmp_path):
    out = tmp_path / "new" / "out"
    with open_run(out) as run:
        assert not run.resuming
        assert state(out)["state"] == "running"
        write(run, "a/b.png")
        run.note(failed=1, seconds=2.5)
    done = state(out)
    assert (done["state"], done["files"], done["details"]) == ("done", ["a/b.png"], {"failed": 1, "seconds": 2.5})
    assert done["options"] == {"seed": 0, "rate": 1e-7, "images": "in"}
    assert done["versions"]["torch"]
    assert done["times"]["started"] <= done["times"]["finished"]
    assert sorted(p.name for p in out.iterdir()) == ["a", "run.json"]


def test_an_empty_folder_or_one_with_hidden_files_will_do(tmp_path):
    (tmp_path / ".DS_Store").write_text("")
    with open_run(tmp_path) as run:
        assert not run.resuming


def test_a_finished_run_is_refused_and_left_alone(tmp_path):
    with open_run(tmp_path) as run:
        write(run, "a.png")
    before = (tmp_path / "run.json").read_bytes()
    with pytest.raises(OutputError, match=r"holds a finished run; expected a new or empty folder; .*--overwrite"):
        open_run(tmp_path).__enter__()
    assert (tmp_path / "run.json").read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.png", "run.json"]


def test_overwrite_removes_what_medtap_wrote_and_nothing_else(tmp_path):
    with open_run(tmp_path) as run:
        write(run, "old.png")
    (tmp_path / "notes.txt").write_text("mine")
    with open_run(tmp_path, overwrite=True) as run:
        assert not run.resuming
        assert not (tmp_path / "old.png").exists()
        write(run, "new.png")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["new.png", "notes.txt", "run.json"]


@pytest.mark.parametrize("content", ["notes.txt", "run.json"])
def test_other_files_are_refused_unless_told_to(tmp_path, content):
    (tmp_path / content).write_text('{"state": "done"}')
    with pytest.raises(OutputError, match="the output folder is not empty"):
        open_run(tmp_path).__enter__()
    assert [p.name for p in tmp_path.iterdir()] == [content]
    with open_run(tmp_path, overwrite=True) as run:
        assert not run.resuming
    assert (tmp_path / content).exists()


def test_a_half_done_run_is_resumed(tmp_path):
    interrupt(tmp_path, "a.png")
    (tmp_path / f"{TEMPORARY_PREFIX}x.png").write_text("half")
    with open_run(tmp_path) as run:
        assert run.resuming
        assert run.has("a.png")
        assert not run.has("b.png")
        assert list(tmp_path.glob(f"{TEMPORARY_PREFIX}*")) == []
        write(run, "b.png")
    assert state(tmp_path)["files"] == ["a.png", "b.png"]
    assert state(tmp_path)["times"]["resumed"] is True


def test_a_name_that_a_folder_has(tmp_path):
    with open_run(tmp_path) as run:
        (tmp_path / "folder.png").mkdir()
        with pytest.raises(OutputError, match="the output folder cannot be written to"):
            run.file("folder.png")


def test_a_command_with_overwrite_is_resumed_too(tmp_path):
    interrupt(tmp_path, "a.png")
    with open_run(tmp_path, overwrite=True) as run:
        assert run.has("a.png")


def test_a_half_done_run_of_other_options_is_refused(tmp_path):
    interrupt(tmp_path, "a.png")
    with pytest.raises(OutputError, match="half-done run of other options"):
        open_run(tmp_path, {"seed": 1}).__enter__()
    with open_run(tmp_path, {"seed": 1}, overwrite=True) as run:
        assert not run.resuming
        assert not (tmp_path / "a.png").exists()


def test_a_file_that_was_there_before_is_not_taken_for_done(tmp_path):
    (tmp_path / "a.png").write_text("theirs")
    run = open_run(tmp_path, overwrite=True).__enter__()
    assert not run.has("a.png")
    run.file("a.png")
    run.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
    with open_run(tmp_path) as run:
        assert run.resuming
        assert not run.has("a.png")


def test_a_journal_that_was_cut_short(tmp_path):
    interrupt(tmp_path, "a.png")
    with (tmp_path / ".medtap.files").open("a") as journal:
        journal.write('"b.p')
    interrupt(tmp_path, "b.png")
    with open_run(tmp_path) as run:
        assert run.has("a.png")
        assert run.has("b.png")
        write(run, "c.png")
    assert state(tmp_path)["files"] == ["a.png", "b.png", "c.png"]


def test_a_record_that_leads_out_of_the_folder_removes_nothing(tmp_path):
    out, victim = tmp_path / "out", tmp_path / "victim.png"
    victim.write_text("")
    with open_run(out):
        pass
    (out / "run.json").write_text(json.dumps({**state(out), "files": ["../victim.png", str(victim)]}))
    with open_run(out, overwrite=True):
        assert victim.exists()


@pytest.mark.parametrize("name", ["../a.png", "a/../../b.png", "/a.png"])
def test_files_stay_inside(tmp_path, name):
    with open_run(tmp_path / "out") as run, pytest.raises(OutputError, match="a file would leave the output folder"):
        run.file(name)


def test_two_runs_at_once(tmp_path):
    with open_run(tmp_path):
        for options in (OPTIONS, {"seed": 1}):
            for overwrite in (False, True):
                with pytest.raises(OutputError, match="another run is writing into this folder"):
                    open_run(tmp_path, options, overwrite).__enter__()
        assert state(tmp_path)["state"] == "running"
    assert state(tmp_path)["state"] == "done"


def test_output_equal_to_an_input(tmp_path):
    (tmp_path / "a.png").write_text("")
    with pytest.raises(OutputError, match="the output folder is an input folder"):
        open_run(tmp_path, overwrite=True, inputs=[tmp_path]).__enter__()
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


def test_output_that_is_a_file_or_below_one(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="the output is a file; expected a folder"):
        open_run(tmp_path / "file", overwrite=True).__enter__()
    with pytest.raises(OutputError, match="the output folder cannot be written to"):
        open_run(tmp_path / "file" / "out").__enter__()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_read_only_folder(tmp_path):
    tmp_path.chmod(0o555)
    with pytest.raises(OutputError, match=r"cannot be written to; .*found permission denied"):
        open_run(tmp_path).__enter__()
    tmp_path.chmod(0o755)


def test_read_only_file_system(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(OutputError, match=r"cannot be written to; .*found read-only file system; choose another --out"):
        open_run(tmp_path / "out").__enter__()


def test_a_folder_that_cannot_be_listed(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(OutputError, match="found permission denied"):
        open_run(tmp_path).__enter__()


WORKER = """
    import resource, signal, sys, time
    from pathlib import Path
    import numpy as np
    from medtap.errors import OutputError
    from medtap.outputs import RunFolder, atomic_write, write_png_mask
    from PIL import Image

    out, mode = Path(sys.argv[1]), sys.argv[2]
    if mode == "full":
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))
    made = []
    try:
        with RunFolder(out, inputs=[], options={"seed": 0}, overwrite=False) as run:
            for case in range(6):
                name = f"sub/{case}.png"
                if run.has(name):
                    continue
                made.append(case)
                size = 16 + 64 * case
                labels = np.random.default_rng(case).integers(0, 2, (size, size))
                if mode == "kill" and case == 3:
                    with atomic_write(run.file(name)) as temporary:
                        temporary.write_bytes(b"half a file")
                        print("writing", flush=True)
                        time.sleep(60)
                write_png_mask(labels, run.file(name))
    except OutputError as error:
        print(error)
        sys.exit(2)
    print(made)
"""


def start(out, mode):
    code = textwrap.dedent(WORKER)
    return subprocess.Popen([sys.executable, "-c", code, str(out), mode], stdout=subprocess.PIPE, text=True)


def masks(out):
    return {p.name: p.read_bytes() for p in sorted(out.rglob("*.png")) if p.is_file()}


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    out = tmp_path_factory.mktemp("whole") / "out"
    assert start(out, "plain").communicate()[0] == "[0, 1, 2, 3, 4, 5]\n"
    return masks(out)


@pytest.mark.slow
def test_sigkill_then_the_same_command_gives_the_same_bytes(tmp_path, uninterrupted):
    out = tmp_path / "out"
    child = start(out, "kill")
    assert child.stdout.readline() == "writing\n"
    second = start(out, "plain")
    assert "another run is writing into this folder" in second.communicate()[0]
    assert second.returncode == 2
    os.kill(child.pid, signal.SIGKILL)
    child.communicate()
    half = {name: data for name, data in masks(out).items() if not name.startswith(TEMPORARY_PREFIX)}
    assert half == {name: uninterrupted[name] for name in ("0.png", "1.png", "2.png")}
    assert start(out, "plain").communicate()[0] == "[3, 4, 5]\n"
    assert masks(out) == uninterrupted
    assert sorted(p.name for p in out.iterdir()) == ["run.json", "sub"]


@pytest.mark.slow
def test_a_full_disk_then_the_same_command_gives_the_same_bytes(tmp_path, uninterrupted):
    out = tmp_path / "out"
    child = start(out, "full")
    assert "cannot be written; expected a writable folder with space left" in child.communicate()[0]
    assert child.returncode == 2
    half = masks(out)
    assert 0 < len(half) < 6
    assert half == {name: uninterrupted[name] for name in half}
    assert len(start(out, "plain").communicate()[0].split(",")) == 6 - len(half)
    assert masks(out) == uninterrupted
