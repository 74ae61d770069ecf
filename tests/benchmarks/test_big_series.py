"""A whole CT series through the command line: what it takes is printed (``pytest -s``), not asserted."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time

import numpy as np
import pytest

from medtap.adaptation import TapOptions, take_a_peek
from medtap.networks import load_network
from tests.data.dicom_files import save_series
from tests.tiny import support_set

SLICES, SIDE = 300, 512


@pytest.mark.slow
def test_three_hundred_slices(tmp_path, capsys):
    network = load_network("medtap-atto")
    take_a_peek(network, support_set(2, size=network.size), options=TapOptions(passes=0)).save(tmp_path / "adapter")
    rows, columns = np.mgrid[:SIDE, :SIDE] / SIDE
    plane = 1000 * ((rows - 0.5) ** 2 + (columns - 0.5) ** 2 < 0.1)
    affine = np.diag([-0.8, -0.8, 1.0, 1.0])
    voxels = np.repeat(plane.T[..., None], SLICES, axis=2).astype(np.int16)
    save_series(voxels, tmp_path / "ct", affine, modality="CT", SeriesNumber=7)
    start = time.perf_counter()
    asked = ["--adapter", tmp_path / "adapter", "--images", tmp_path / "ct", "--out", tmp_path / "out"]
    subprocess.run([sys.executable, "-m", "medtap", "predict", *asked], check=True, capture_output=True)
    seconds, held = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    with capsys.disabled():
        sys.stdout.write(f"\n{SLICES} CT slices of {SIDE} px: {seconds:.0f} s, at most {held:.0f} MB\n")
    assert len(list((tmp_path / "out").rglob("*.seg.dcm"))) == 1
    assert json.loads((tmp_path / "out" / "run.json").read_text())["state"] == "done"
