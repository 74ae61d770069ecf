"""Official checkpoints: names, shapes, files of every kind, and what is refused."""

from __future__ import annotations

import functools
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import ResNetConfig

from medtap.errors import OptionError, WeightsError
from medtap.networks import BUILDERS, build_network
from medtap.networks.blocks import resnet_blocks
from medtap.networks.checkpoints import LAYOUTS, layout_of, load_checkpoint, read_checkpoint
from medtap.networks.checkpoints.layout import translate, translate_name, under, unknown_names
from medtap.networks.ssp import SspSegmenter
from tests.networks.official import dcama_shapes, random_state, resnet_shapes, swin_shapes
from tests.networks.tiny_blocks import blank_dcama, official_shapes, tiny_dcama
from tests.tiny import random_images, random_masks

BACKBONES = ("swin-b", "resnet50")
FULL = {
    "swin-b": lambda: dcama_shapes(
        (128, 256, 512, 1024), (2, 2, 18, 2), swin_shapes(384, 128, (2, 2, 18, 2), (4, 8, 16, 32), 12)
    ),
    "resnet50": lambda: dcama_shapes(
        (256, 512, 1024, 2048), (3, 4, 6, 3), resnet_shapes(64, (256, 512, 1024, 2048), (3, 4, 6, 3))
    ),
}


class Harmful:
    def __reduce__(self):
        return Path.touch, (Path("harm-was-done"),)


@pytest.fixture(autouse=True)
def tiny_builders(monkeypatch: pytest.MonkeyPatch) -> None:
    """The zoo builds DCAMA tiny."""
    for backbone in BACKBONES:
        monkeypatch.setitem(BUILDERS, f"dcama-{backbone}", functools.partial(blank_dcama, backbone))


def saved(folder: Path, content: object) -> Path:
    torch.save(content, folder / "best_model.pt")
    return folder / "best_model.pt"


@pytest.mark.parametrize("backbone", BACKBONES)
def test_published_names_and_shapes_are_the_network_s(backbone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    shapes = FULL[backbone]()
    assert len(shapes) == {"swin-b": 451, "resnet50": 407}[backbone]
    with torch.device("meta"):
        network = build_network(f"dcama-{backbone}")
        ours = translate({name: torch.empty(shape) for name, shape in shapes.items()}, LAYOUTS["dcama"][backbone])
    assert unknown_names(shapes, LAYOUTS["dcama"][backbone]) == []
    assert {name: tensor.shape for name, tensor in ours.items()} == {
        name: tensor.shape for name, tensor in network.state_dict().items()
    }


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("wrap", [lambda s: s, lambda s: {"state_dict": s, "epoch": 3}, lambda s: {"model": s}])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_every_wrapping_gives_the_same_network(tmp_path: Path, backbone: str, wrap, prefix: str) -> None:
    expected, official = tiny_dcama(backbone)
    path = saved(tmp_path, wrap({prefix + name: tensor for name, tensor in official.items()}))
    network = load_checkpoint("dcama", backbone, path)
    assert not network.training
    assert all(torch.equal(tensor, network.state_dict()[name]) for name, tensor in expected.state_dict().items())


def test_old_pytorch_files_and_safetensors_are_read(tmp_path: Path) -> None:
    tensors = {"a": torch.arange(3.0), "b": torch.tensor(2)}
    torch.save(tensors, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    save_file(tensors, tmp_path / "new.safetensors")
    for name in ("old.pth", "new.safetensors"):
        found = read_checkpoint(tmp_path / name)
        assert found.keys() == tensors.keys()
        assert all(torch.equal(found[key], tensors[key]) for key in tensors)


def test_resnet_of_torchvision_serves_ssp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = ResNetConfig(embedding_size=4, hidden_sizes=[8, 16, 16], depths=[2, 1, 2])
    monkeypatch.setitem(BUILDERS, "ssp-resnet50", lambda: SspSegmenter(resnet_blocks(config, (3,))))
    official = random_state(resnet_shapes(4, (8, 16, 16, 32), (2, 1, 2, 1)))
    state = load_checkpoint("ssp", "resnet50", saved(tmp_path, official)).encoder.backbone.state_dict()
    assert torch.equal(state["embedder.embedder.convolution.weight"], official["conv1.weight"])
    assert torch.equal(state["encoder.stages.2.layers.1.layer.2.convolution.weight"], official["layer3.1.conv3.weight"])


def test_published_names_and_shapes_of_ssp_are_the_network_s() -> None:
    stem = {f"layer0.0.{place}.weight": (width, given, 3, 3) for place, given, width in _STEM}
    shapes = stem | {f"layer0.{name}.{part}": shape for name, width in _STEM_NORMS for part, shape in _norm(width)}
    blocks = resnet_shapes(128, (256, 512, 1024), (3, 4, 6))
    shapes |= {name: shape for name, shape in blocks.items() if name.startswith("layer")}
    rules = LAYOUTS["ssp"]["dilated-resnet50"]
    with torch.device("meta"):
        network = build_network("ssp-dilated-resnet50")
        ours = translate({name: torch.empty(shape) for name, shape in shapes.items()}, rules)
    assert unknown_names(shapes, rules) == []
    found = {name: tensor.shape for name, tensor in network.state_dict().items()}
    assert found == {name: tensor.shape for name, tensor in ours.items()}


_STEM = ((0, 3, 64), (3, 64, 64), (6, 64, 128))
_STEM_NORMS = (("0.1", 64), ("0.4", 64), ("1", 128))


def _norm(width: int) -> list[tuple[str, tuple[int, ...]]]:
    parts = ("weight", "bias", "running_mean", "running_var")
    return [*((part, (width,)) for part in parts), ("num_batches_tracked", ())]


def test_fused_projections_are_split_in_order() -> None:
    rules = under("m\\.", "own.", [(r"(\w)\.qkv", (r"\1.q", r"\1.k", r"\1.v")), (r"table", ())])
    ours = translate({"m.a.qkv": torch.arange(6.0), "m.table": torch.zeros(1), "other": torch.zeros(1)}, rules)
    assert {name: tensor.tolist() for name, tensor in ours.items()} == {
        "own.a.q": [0, 1],
        "own.a.k": [2, 3],
        "own.a.v": [4, 5],
    }
    assert translate_name("m.table", rules) == ()
    assert unknown_names(["m.table", "other", "mm.table"], rules) == ["other", "mm.table"]


def refused(path: Path, message: str, backbone: str = "resnet50") -> None:
    with pytest.raises(WeightsError, match=message):
        load_checkpoint("dcama", backbone, path)


def changed(backbone: str = "resnet50", **change: Tensor | None) -> dict[str, Tensor]:
    official = random_state(official_shapes(backbone)) | {k.replace("__", "."): v for k, v in change.items()}
    return {name: tensor for name, tensor in official.items() if tensor is not None}


def test_leftovers_on_either_side_are_refused_by_name(tmp_path: Path) -> None:
    refused(saved(tmp_path, changed(extra__weight=torch.zeros(1))), r"found 1 unknown: extra.weight$")
    refused(saved(tmp_path, changed(model__conv1__0__weight=None)), r"found 1 missing: decoder.levels.2.0.weight;")
    shape = r"found 1 of another shape: decoder.mix1.2.bias \(3,\) for \(2,\)"
    refused(saved(tmp_path, changed(model__mixer3__2__bias=torch.zeros(3))), shape)
    refused(
        saved(tmp_path, changed(model__mixer3__2__bias=torch.zeros(3))), "expected [0-9]+ tensors of dcama-resnet50"
    )


def test_a_checkpoint_of_another_backbone_is_refused_and_named(tmp_path: Path) -> None:
    path = saved(tmp_path, changed("swin-b"))
    refused(path, r"is not one of dcama on resnet50.*its names are those of --network dcama --backbone swin-b")


def test_unknown_layouts_are_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"no layout of 'dcma' checkpoints is known; expected one of dcama"):
        load_checkpoint("dcma", "swin-b", tmp_path / "any.pt")
    with pytest.raises(OptionError, match=r"no layout of 'dcama' on 'vgg16' is known; expected one of swin-b"):
        layout_of("dcama", "vgg16")


def test_missing_files_are_refused(tmp_path: Path) -> None:
    refused(tmp_path / "none.pt", r"none.pt: the checkpoint is missing; download it")
    refused(tmp_path, r"the checkpoint is missing")


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.999])
@pytest.mark.parametrize("zipped", [True, False])
def test_truncated_files_are_refused(tmp_path: Path, share: float, zipped: bool) -> None:
    torch.save(changed(), tmp_path / "best_model.pt", _use_new_zipfile_serialization=zipped)
    content = (tmp_path / "best_model.pt").read_bytes()
    (tmp_path / "best_model.pt").write_bytes(content[: int(share * len(content))])
    refused(tmp_path / "best_model.pt", r"the checkpoint cannot be read; expected a PyTorch file")


def test_code_in_a_file_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    refused(saved(tmp_path, {"model": Harmful()}), "found a damaged file, or one that would run code")
    (tmp_path / "plain.pkl").write_bytes(pickle.dumps(Harmful()))
    refused(tmp_path / "plain.pkl", "found a damaged file, or one that would run code")
    assert not (tmp_path / "harm-was-done").exists()


@pytest.mark.parametrize("content", [{}, [1, 2], {"epoch": 3}, torch.zeros(2)])
def test_files_without_a_state_dict_are_refused(tmp_path: Path, content: object) -> None:
    refused(saved(tmp_path, content), r"the checkpoint holds no tensors; expected a network's state dict")


def test_a_converted_network_segments(tmp_path: Path) -> None:
    network = load_checkpoint("dcama", "resnet50", saved(tmp_path, changed()))
    logits = network(random_images(1), random_images(2).unsqueeze(0), random_masks(2).float().unsqueeze(0))
    assert logits.shape == (1, 2, 64, 64)
    assert logits.isfinite().all()
