"""The bundles say the same wherever their images and classes do not ask for something else."""

from __future__ import annotations

import json
import re

import pytest

from medtap.data import SUFFIXES
from tests.bundles.conftest import BUNDLES

FIRST, *OTHERS = BUNDLES
DIFFERS = {"inference": {"classes", "host_volumes"}, "evaluate": {"classes"}, "make_model": {"classes"}}
OWN = {"name", "task", "description", "data_source", "references", "network_data_format"}
OWN_OF_IMAGE = {"format", "modality", "channel_def"}
OWN_OF_PRED = {"num_channels", "channel_def"}
OPTIONS_THAT_DIFFER = {"classes"}


def config(bundle, name):
    return json.loads((bundle / "configs" / f"{name}.json").read_text())


def differing(one, other):
    return {name for name in one.keys() | other.keys() if name not in one or one[name] != other.get(name)}


def readme(bundle):
    return (bundle / "docs" / "README.md").read_text()


def option_table(bundle):
    """The rows of the table of options, by their first cell."""
    return dict(re.findall(r"^\| (`\w+`.*?) \| (.*) \|$", readme(bundle), re.MULTILINE))


@pytest.fixture(params=OTHERS, ids=lambda path: path.name)
def other(request):
    """Each bundle but the first."""
    return request.param


@pytest.mark.parametrize("name", DIFFERS)
def test_configs(other, name):
    first, second = config(FIRST, name), config(other, name)
    assert list(first) == list(second)
    assert differing(first, second) <= DIFFERS[name]


@pytest.mark.parametrize("file", ["LICENSE", "configs/logging.conf"])
def test_files(other, file):
    assert (FIRST / file).read_bytes() == (other / file).read_bytes()


def test_metadata(other):
    first, second = config(FIRST, "metadata"), config(other, "metadata")
    assert differing(first, second) <= OWN
    formats = first["network_data_format"], second["network_data_format"]
    assert differing(*(found["inputs"]["image"] for found in formats)) <= OWN_OF_IMAGE
    assert differing(*(found["outputs"]["pred"] for found in formats)) <= OWN_OF_PRED


def test_files_lie_at_the_same_places(other):
    files = ({path.relative_to(bundle) for path in bundle.rglob("*") if path.is_file()} for bundle in (FIRST, other))
    assert next(files) == next(files)


def test_readmes_have_the_same_sections_and_options(other):
    sections = [re.findall(r"^#+ .*$", readme(bundle), re.MULTILINE) for bundle in (FIRST, other)]
    assert sections[0] == sections[1]
    first, second = option_table(FIRST), option_table(other)
    assert len(first) > 10
    assert {name.strip("`") for name in differing(first, second)} <= OPTIONS_THAT_DIFFER


def test_options_of_the_readme_are_those_of_the_configs(bundle):
    told = {name for cell in option_table(bundle) for name in re.findall(r"`(\w+)`", cell)}
    known = config(bundle, "inference").keys() | config(bundle, "evaluate").keys()
    assert told <= known
    defaults = {name for name, value in config(bundle, "inference").items() if not isinstance(value, (dict, list))}
    assert defaults - told <= {"bundle_root", "host_volumes", "model_file"}


def test_formats_of_the_readme_are_those_that_are_read(bundle):
    told = readme(bundle).lower()
    for suffix in (".png", ".jpeg", ".bmp", ".nii", ".dcm"):
        assert suffix in SUFFIXES
    assert all(name in told for name in ("png", "jpeg", "bmp", "tiff", "nifti", "dicom"))
