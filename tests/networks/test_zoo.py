"""Named networks and their weights."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from medtap.errors import OptionError, WeightsError
from medtap.networks import BUILDERS, build_network, load_network, save_network
from medtap.networks.zoo import CARD_FILE, EMBEDDED, WEIGHTS_FILE, read_tensors, weights_sha256
from tests.tiny import random_images, random_masks, tiny_network


@pytest.fixture
def saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the tiny network's weights; the zoo knows the name ``tiny``."""
    monkeypatch.setitem(BUILDERS, "tiny", tiny_network)
    save_network(tiny_network(seed=1), tmp_path / "tiny", {"seed": 1})
    return tmp_path / "tiny"


SIZES = {"medtap-atto": 3.53e6, "medtap-tiny": 4.61e6}


@pytest.mark.parametrize(("name", "expected"), SIZES.items())
def test_embedded_networks_fit_into_the_repository(name: str, expected: float) -> None:
    network = load_network(name)
    parameters = sum(parameter.numel() for parameter in network.parameters())
    assert (network.name, network.source, network.size) == (name, name, 256)
    assert parameters == pytest.approx(expected, rel=0.005)
    assert (EMBEDDED / name / WEIGHTS_FILE).stat().st_size < 12e6
    layers = [name for name, _ in network.encoder.named_modules()]
    assert network.targets.startswith("re:")
    assert set(network.rates["lora"]) <= set(layers)


def test_where_and_how_fast_to_adapt_is_kept(saved: Path) -> None:
    assert (load_network(saved).targets, dict(load_network(saved).rates)) == ("auto", {})
    network = load_network(saved)
    network.targets, network.rates = "re:stages[.]3", {"lora": {"a.layer": 2.5}}
    save_network(network, saved, {})
    assert (load_network(saved).targets, load_network(saved).rates) == (network.targets, network.rates)


def test_published_sams_are_fetched_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "medtap.networks.sam_sizes.load_published_sam", lambda name: tiny_network() if name == "sam-vit-b" else None
    )
    assert load_network("sam-vit-b").source == "sam-vit-b"


def test_unknown_name_names_the_nearest() -> None:
    with pytest.raises(OptionError, match=r"no network is called 'medtap-ato'.*did you mean 'medtap-atto'"):
        build_network("medtap-ato")
    with pytest.raises(OptionError, match=r"no network is called 'x'; expected one of medtap-tiny, .*or a folder"):
        load_network("x")


def test_a_folder_is_remembered_wherever_one_stands(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(saved.parent)
    assert load_network(f"./{saved.name}").source == str(saved.resolve())


def test_saved_network_is_the_same_up_to_half_precision(saved: Path) -> None:
    network = load_network(saved)
    assert (network.name, network.source) == ("tiny", str(saved.resolve()))
    assert not network.training
    assert all(parameter.dtype == torch.float32 and not parameter.requires_grad for parameter in network.parameters())
    expected = tiny_network(seed=1).half().float().state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in network.state_dict().items())
    assert json.loads((saved / CARD_FILE).read_text()) == {"network": "tiny", "seed": 1}


def test_saved_weights_take_half_precision(saved: Path) -> None:
    assert {tensor.dtype for tensor in load_file(saved / WEIGHTS_FILE).values()} == {torch.float16}


def test_loaded_network_segments(saved: Path) -> None:
    logits = load_network(saved)(random_images(1), random_images(2).unsqueeze(0), random_masks(2).unsqueeze(0).float())
    assert logits.shape == (1, 2, 64, 64)


def test_named_network_without_weights_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BUILDERS, "tiny", tiny_network)
    with pytest.raises(WeightsError, match=r"weights.tiny: the network's weights are not there"):
        load_network("tiny")


def test_folder_without_a_card_is_refused(saved: Path) -> None:
    (saved / CARD_FILE).unlink()
    with pytest.raises(WeightsError, match="the folder holds no network"):
        load_network(saved)


@pytest.mark.parametrize("card", ["[]", "{}", "no json", "\x00", "null"])
def test_damaged_card_is_refused(saved: Path, card: str) -> None:
    (saved / CARD_FILE).write_text(card)
    with pytest.raises(WeightsError, match="the folder holds no network"):
        load_network(saved)


def test_missing_weights_are_refused(saved: Path) -> None:
    (saved / WEIGHTS_FILE).unlink()
    with pytest.raises(WeightsError, match="the weights are missing"):
        load_network(saved)


def test_pickle_is_never_read(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(WeightsError, match="expected a safetensors file"):
        read_tensors(path)


def test_torch_file_is_never_read(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    torch.save({"a": torch.zeros(3)}, path)
    with pytest.raises(WeightsError, match="expected a safetensors file"):
        read_tensors(path)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.999])
def test_truncated_weights_are_refused(saved: Path, share: float) -> None:
    path = saved / WEIGHTS_FILE
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(WeightsError, match="the weights cannot be read"):
        load_network(saved)


def test_weights_of_another_network_are_refused(saved: Path) -> None:
    save_file({"coarse.weight": torch.zeros(1, 3, 1, 1)}, saved / WEIGHTS_FILE)
    with pytest.raises(WeightsError, match="the weights do not fit the network 'tiny'"):
        load_network(saved)


def test_hash_tells_weights_and_names_apart() -> None:
    network, other = tiny_network(), tiny_network()
    assert weights_sha256(network) == weights_sha256(other)
    other.name = "other"
    assert weights_sha256(network) != weights_sha256(other)
    changed = tiny_network()
    changed.coarse.bias.data += 1e-6
    assert weights_sha256(network) != weights_sha256(changed)
