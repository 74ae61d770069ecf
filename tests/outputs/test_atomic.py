"""Whole files or none: after errors, kills and full disks."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import textwrap

import pytest

from medtap.errors import OutputError
from medtap.outputs.atomic import TEMPORARY_PREFIX, atomic_write, remove_leftovers


def names(folder):
    return sorted(p.name for p in folder.iterdir())


def run_python(code, *arguments):
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_writes_and_makes_parents(tmp_path):
    with atomic_write(tmp_path / "a" / "b.txt") as temporary:
        assert temporary.parent == tmp_path / "a"
        temporary.write_text("whole")
        assert not (tmp_path / "a" / "b.txt").exists()
    assert (tmp_path / "a" / "b.txt").read_text() == "whole"
    assert names(tmp_path / "a") == ["b.txt"]


@pytest.mark.parametrize(("name", "suffix"), [("x.nii.gz", ".nii.gz"), ("1.2.840.png", ".840.png"), ("plain", "")])
def test_temporary_name_keeps_the_suffixes(tmp_path, name, suffix):
    with atomic_write(tmp_path / name) as temporary:
        assert temporary.name.endswith(suffix)
        assert temporary.name.startswith(TEMPORARY_PREFIX)


def test_a_name_as_long_as_file_systems_allow(tmp_path):
    path = tmp_path / ("n" * 251 + ".png")
    with atomic_write(path) as temporary:
        temporary.write_bytes(b"1")
    assert path.read_bytes() == b"1"


def test_an_error_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fail():
        with atomic_write(path) as temporary:
            temporary.write_text("half")
            raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        fail()
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_a_full_disk_is_an_output_error(tmp_path):
    def fail():
        with atomic_write(tmp_path / "a.txt"):
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OutputError, match=r"a\.txt: cannot be written.*found no space left on device; make room"):
        fail()
    assert names(tmp_path) == []


def test_a_parent_that_is_a_file(tmp_path):
    (tmp_path / "a").write_text("")
    with pytest.raises(OutputError, match="cannot be written"), atomic_write(tmp_path / "a" / "b.txt"):
        pass


def test_a_final_name_that_is_a_folder(tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(OutputError, match="cannot be written"), atomic_write(tmp_path / "a") as temporary:
        temporary.write_text("x")
    assert names(tmp_path) == ["a"]


def test_removes_leftovers_below_and_nothing_else(tmp_path):
    (tmp_path / "sub").mkdir()
    for name in (TEMPORARY_PREFIX + "1.png", f"sub/{TEMPORARY_PREFIX}2", "sub/mask.png"):
        (tmp_path / name).write_text("")
    remove_leftovers(tmp_path)
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["mask.png", "sub"]


@pytest.mark.slow
def test_sigkill_while_writing_leaves_no_final_file(tmp_path):
    child = run_python(
        """
        import sys, time
        from medtap.outputs.atomic import atomic_write
        with atomic_write(sys.argv[1]) as temporary, temporary.open("wb") as file:
            file.write(b"half" * 100_000)
            file.flush()
            print("half", flush=True)
            time.sleep(60)
        """,
        tmp_path / "mask.nii.gz",
    )
    assert child.stdout.readline() == "half\n"
    os.kill(child.pid, signal.SIGKILL)
    child.communicate()
    assert child.returncode == -signal.SIGKILL
    assert not (tmp_path / "mask.nii.gz").exists()
    assert [n.startswith(TEMPORARY_PREFIX) for n in names(tmp_path)] == [True]
    remove_leftovers(tmp_path)
    assert names(tmp_path) == []


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".png", ".nii", ".nii.gz"])
def test_no_room_for_a_mask_leaves_nothing(tmp_path, suffix):
    child = run_python(
        """
        import resource, signal, sys
        import nibabel as nib, numpy as np
        from medtap.errors import OutputError
        from medtap.outputs import write_nifti_mask, write_png_mask
        path, source = sys.argv[1:]
        labels = np.random.default_rng(0).integers(0, 2, (200, 200, 20), dtype=np.uint8)
        nib.save(nib.Nifti1Image(labels, np.eye(4)), source)
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
        try:
            write_png_mask(labels[..., 0], path) if path.endswith(".png") else write_nifti_mask(labels, path, source)
        except OutputError as error:
            print(error)
        """,
        tmp_path / f"mask{suffix}",
        tmp_path / "source.nii",
    )
    printed, errors = child.communicate()
    assert "cannot be written; expected a writable folder with space left; found file too large" in printed, errors
    assert names(tmp_path) == ["source.nii"]
