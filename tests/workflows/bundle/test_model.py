"""What a bundle segments with: its own model or an adaptation; and how the former is made."""

from __future__ import annotations

import pytest
import torch

from medtap.adapted import AdaptedSegmenter
from medtap.defaults import NETWORK
from medtap.errors import OptionError, WeightsError
from medtap.networks import load_network
from medtap.outputs import RunFolder
from medtap.record import AdaptationRecord
from medtap.workflows.bundle import Adaptation, ShippedModel, adapted_network, choose_model, class_names, write_model


@pytest.fixture
def made(lesions, tmp_path):
    """An adaptation to two of the generated images and the model made by it."""
    adaptation = choose_model("unused.pt", *lesions, shots=2, passes=1, classes=("lesion",))
    return adaptation, write_model(tmp_path / "models" / "model.pt", adaptation)


@pytest.mark.parametrize("classes", ["a, b", "a,b", ["a", "b"], ("a", "b")])
def test_class_names_are_one_string_or_several(classes):
    assert class_names(classes) == ("a", "b")


def test_class_of_one_name():
    assert class_names("lesion") == ("lesion",)


def test_adapted_network_has_the_shots_of_the_model():
    network = adapted_network(NETWORK, ("a", "b"), shots=3)
    assert {kept.shape[:2] for kept in network.memory} == {(2, 3)}
    assert network.classes == ("a", "b")


def test_no_support_set_chooses_the_own_model(tmp_path):
    assert choose_model(tmp_path / "model.pt") == ShippedModel(tmp_path / "model.pt")


def test_support_set_chooses_an_adaptation(made, lesions):
    adaptation, _ = made
    assert isinstance(adaptation, Adaptation)
    assert (adaptation.support.shots, adaptation.options.passes, adaptation.folders) == (2, 1, lesions)


def test_rank_is_the_methods_own_unless_given(lesions):
    own = choose_model("", *lesions, shots=2).adapter
    assert choose_model("", *lesions, shots=2, rank=own.rank + 1).adapter.rank == own.rank + 1


def test_model_is_half_of_what_was_adapted(made):
    adaptation, file = made
    stored, adapted = torch.load(file, weights_only=True), adaptation.adapt().state_dict()
    assert stored.keys() == adapted.keys()
    assert all(torch.equal(stored[name], tensor.half()) for name, tensor in adapted.items())


def test_model_is_the_same_bytes_when_made_again(made, tmp_path):
    adaptation, file = made
    assert write_model(tmp_path / "again" / "model.pt", adaptation).read_bytes() == file.read_bytes()


def test_model_without_a_support_set_is_refused(tmp_path):
    with pytest.raises(OptionError, match="support_images"):
        write_model(tmp_path / "model.pt", ShippedModel(tmp_path / "model.pt"))


def test_own_model_is_told_by_its_hash(made):
    _, file = made
    record = AdaptationRecord.read(file.parent)
    identity = ShippedModel(file).identity(adapted_network(NETWORK, ("lesion",), 2))
    assert identity == {"adapter_sha256": record.adapter_sha256}


def test_own_model_that_was_changed_is_refused(made):
    _, file = made
    file.write_bytes(file.read_bytes() + b"\0")
    with pytest.raises(WeightsError, match="not the one that its manifest describes"):
        ShippedModel(file).identity(adapted_network(NETWORK, ("lesion",), 2))


def test_own_model_without_a_manifest_is_refused(tmp_path):
    with pytest.raises(WeightsError, match=r"manifest\.json"):
        ShippedModel(tmp_path / "model.pt").identity(adapted_network(NETWORK, ("lesion",), 2))


def test_own_model_of_other_classes_is_refused(made):
    _, file = made
    with pytest.raises(OptionError, match=f"expected {NETWORK} for nail, hair; found {NETWORK} for lesion"):
        ShippedModel(file).identity(adapted_network(NETWORK, ("nail", "hair"), 2))


def test_own_model_fills_in_what_is_known_of_it(made, tmp_path):
    _, file = made
    network = adapted_network(NETWORK, ("lesion",), 2)
    with RunFolder(tmp_path / "out", inputs=[], options={}) as run:
        ShippedModel(file).fill(network, run, torch.device("cpu"))
    assert network.record == AdaptationRecord.read(file.parent)


def test_adaptation_fills_a_network_of_other_shots(made, tmp_path):
    adaptation, _ = made
    network = AdaptedSegmenter.blank(load_network(NETWORK), ("lesion",), shots=5)
    with RunFolder(tmp_path / "out", inputs=[], options={}) as run:
        adaptation.fill(network, run, torch.device("cpu"))
    image = torch.rand((1, 3, 64, 64), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(network(image), adaptation.adapt()(image))
    assert sorted(path.name for path in (tmp_path / "out" / "adapter").iterdir()) == [
        "adapter.safetensors", "manifest.json", "support.png", "support.safetensors",
    ]  # fmt: skip


def test_identity_of_an_adaptation_tells_its_support_set(made, lesions):
    adaptation, _ = made
    network = adapted_network(NETWORK, ("lesion",), 2)
    other = choose_model("", *lesions, shots=2, passes=1, seed=1, classes=("lesion",))
    assert adaptation.identity(network)["support_sha256"] == adaptation.support.sha256
    assert adaptation.identity(network) != other.identity(network)


@pytest.mark.parametrize("method", [pytest.param("conv_lora", marks=pytest.mark.slow), "adapter"])
def test_own_model_whose_adapter_stays_in_the_encoder_is_loaded(lesions, tmp_path, method):
    named = {"method": method, "shots": 2, "passes": 1, "classes": ("lesion",)}
    adaptation = choose_model("unused.pt", *lesions, **named)
    file = write_model(tmp_path / "models" / "model.pt", adaptation)
    network = adapted_network(NETWORK, ("lesion",), 2)
    with RunFolder(tmp_path / "out", inputs=[], options={}) as run:
        for _ in range(2):  # an engine may run again
            ShippedModel(file).fill(network, run, torch.device("cpu"))
    network.load_state_dict(torch.load(file, weights_only=True))
    image = torch.rand((1, 3, 64, 64), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.allclose(network(image), adaptation.adapt()(image), atol=0.05)
