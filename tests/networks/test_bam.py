"""BAM: the meta learner, weights of shots, and the ensemble with the base learner."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from medtap.errors import OptionError, WeightsError
from medtap.networks import BUILDERS, build_network, load_network
from medtap.networks.bam import BamSegmenter
from medtap.networks.checkpoints import LAYOUTS, load_checkpoint
from medtap.networks.checkpoints.layout import translate, unknown_names
from medtap.networks.learner_ensemble import LearnerEnsemble
from medtap.networks.shot_weighting import ShotWeighting, gram_distances, gram_matrix
from medtap.workflows.convert import convert
from tests.networks.official_prior_guided import FULL, WIDTH, bam_shapes, dilated_shapes, random_weights, tiny_encoder
from tests.networks.plain_prior_guided import (
    plain_bam,
    plain_chances,
    plain_distances,
    plain_ensemble,
    plain_layers,
    plain_shot,
    resized,
)
from tests.networks.test_pfenet import episode, tiny

META, ENSEMBLE = LAYOUTS["bam"]["resnet50"], LAYOUTS["bam-ensemble"]["resnet50"]


def official_bam(shots: int = 1) -> dict[str, Tensor]:
    return random_weights(dict(dilated_shapes()) | dict(bam_shapes(shots=shots)))


def bam(weights: dict[str, Tensor], base_classes: int = 0, shots: int = 1) -> BamSegmenter:
    network = tiny(lambda: BamSegmenter(tiny_encoder(), WIDTH, base_classes, shots))
    rules = ENSEMBLE if base_classes else META
    assert unknown_names(weights, rules) == []
    network.load_state_dict(translate(weights, rules))
    return network


@torch.no_grad()
@pytest.mark.parametrize(("height", "width"), [(65, 65), (50, 76)])
@pytest.mark.parametrize(("shots", "learnt"), [(1, 1), (5, 5), (3, 5)])
def test_official_weights_give_the_published_logits(shots: int, learnt: int, height: int, width: int) -> None:
    weights = official_bam(learnt)
    query, support, masks = episode(shots, height, width)
    layers, each = plain_layers(weights, query), [plain_layers(weights, support[:, k]) for k in range(shots)]
    kept = [plain_shot(weights, maps, mask) for maps, mask in zip(each, masks[0], strict=True)]
    distances = plain_distances(layers[0], [maps[0] for maps in each])
    chances = plain_chances(weights, distances) if shots == learnt > 1 else torch.full((shots,), 1 / shots)
    meta = plain_bam(weights, layers, kept, chances)
    both = plain_ensemble(weights, meta, layers[2], chances @ distances)
    for base_classes, published in ((0, meta), (15, both)):
        found = bam(weights, base_classes, learnt)(query, support, masks)
        torch.testing.assert_close(found, resized(published, (height, width)), atol=1e-4, rtol=1e-4)


def test_gram_matrices_of_a_hand_made_case() -> None:
    maps = torch.tensor([[3.0, 4.0], [4.0, 3.0], [0.0, 0.0]]).view(1, 3, 1, 2)
    gram = gram_matrix(maps)[0]
    expected = torch.tensor([[1, 0.96, 0], [0.96, 1, 0], [0, 0, 0]])
    torch.testing.assert_close(gram, expected, atol=1e-5, rtol=0)
    distances = gram_distances(gram[None], torch.stack([gram, torch.zeros(3, 3)])[None])
    assert distances.flatten().tolist() == pytest.approx([0, (2 + 2 * 0.96**2) ** 0.5 / 3], abs=1e-5)


def test_weights_of_shots_follow_the_order_of_their_distances() -> None:
    weighting = ShotWeighting(3)
    with torch.no_grad():
        for value in weighting.parameters():
            value.zero_()
        weighting.mix[2].bias.copy_(torch.tensor([2.0, 1.0, 0.0]))
    weights = weighting(torch.tensor([[0.3, 0.1, 0.2]]))
    expected = torch.tensor([0.0, 2.0, 1.0]).softmax(0)
    torch.testing.assert_close(weights[0], expected)


@pytest.mark.parametrize(("learnt", "shots"), [(1, 1), (1, 4), (5, 1), (5, 4)])
def test_other_numbers_of_shots_are_weighted_evenly(learnt: int, shots: int) -> None:
    weights = ShotWeighting(learnt)(torch.rand(2, shots))
    assert weights.tolist() == [pytest.approx([1 / shots] * shots)] * 2


@torch.no_grad()
def test_the_base_learner_takes_its_classes_from_the_foreground() -> None:
    ensemble = LearnerEnsemble(8, 3).eval()
    ensemble.merge.weight.copy_(torch.tensor([1.0, 1.0]).view(1, 2, 1, 1))
    for value in ensemble.base.classify[3].parameters():
        value.zero_()
    meta, features, near = torch.zeros(1, 2, 4, 5), torch.rand(1, 8, 4, 5), torch.zeros(1)
    found = ensemble(meta, features, near)
    torch.testing.assert_close(found[:, 1], torch.full((1, 4, 5), 0.5))
    torch.testing.assert_close(found[:, 0], torch.full((1, 4, 5), 0.5 + 3 / 4))


def test_untrained_ensemble_starts_from_the_meta_learner() -> None:
    meta = torch.randn(2, 2, 4, 5)
    found = LearnerEnsemble(8, 3).eval()(meta, torch.rand(2, 8, 4, 5), torch.rand(2))
    torch.testing.assert_close(found, meta.softmax(1))


def test_whether_there_is_a_base_learner_is_told() -> None:
    with torch.device("meta"):
        networks = [build_network(name) for name in ("bam-resnet50", "bam-ensemble-resnet50")]
        other = build_network("bam-ensemble-resnet50", {"base_classes": 60, "shots": 5})
    assert [network.base_learner for network in networks] == [False, True]
    assert other.ensemble.base.classify[3].out_channels == 61
    assert other.weighting.shots == 5


@pytest.mark.parametrize(("options", "message"), [({"base_classes": -1}, "no class"), ({"shots": 0}, "one shot")])
def test_wrong_numbers_are_refused(options: dict[str, int], message: str) -> None:
    with pytest.raises(OptionError, match=f"less than {message}; expected at least [01]"):
        BamSegmenter(tiny_encoder(), WIDTH, **options)


@pytest.mark.parametrize("shots", [1, 5])
@pytest.mark.parametrize(("classes", "tensors"), [(15, 383), (60, 383)])
def test_published_names_and_shapes_are_the_networks(shots: int, classes: int, tensors: int) -> None:
    shapes = dict(dilated_shapes(*FULL)) | dict(bam_shapes((512, 1024, 2048), 256, classes, shots))
    assert len(shapes) == tensors + (4 if shots > 1 else 0)
    for name, rules, build in (("bam", META, {}), ("bam-ensemble", ENSEMBLE, {"base_classes": classes})):
        with torch.device("meta"):
            network = build_network(f"{name}-resnet50", {"shots": shots, **build})
            ours = translate({name: torch.empty(shape) for name, shape in shapes.items()}, rules)
        assert unknown_names(shapes, rules) == []
        found = {name: tensor.shape for name, tensor in network.state_dict().items()}
        assert found == {name: tensor.shape for name, tensor in ours.items()}


def test_the_meta_learner_has_the_published_size() -> None:
    with torch.device("meta"):
        network = build_network("bam-resnet50")
    head = sum(value.numel() for name, value in network.named_parameters() if not name.startswith("encoder."))
    assert head / 1e6 == pytest.approx(4.92, abs=0.005)
    assert network.size == 473


@pytest.mark.parametrize(("name", "build"), [("bam", {"shots": 5}), ("bam-ensemble", {"base_classes": 60, "shots": 5})])
def test_a_checkpoint_tells_how_its_network_is_built(
    name: str, build: dict[str, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(
        BUILDERS,
        f"{name}-resnet50",
        lambda base_classes=0, shots=1: BamSegmenter(tiny_encoder(), WIDTH, base_classes, shots),
    )
    weights, path = (
        random_weights(dict(dilated_shapes()) | dict(bam_shapes(classes=60, shots=5))),
        tmp_path / "best.pth",
    )
    torch.save({"state_dict": weights}, path)
    convert(name, "resnet50", path, tmp_path / name)
    network, given = load_network(tmp_path / name), episode(5)
    assert json.loads((tmp_path / name / "network.json").read_text())["build"] == build
    torch.testing.assert_close(network(*given), bam(weights, build.get("base_classes", 0), 5)(*given))


@pytest.mark.parametrize(("name", "base_classes"), [("bam", 0), ("bam-ensemble", 15)])
def test_official_checkpoints_are_converted(
    name: str, base_classes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(
        BUILDERS,
        f"{name}-resnet50",
        lambda base_classes=base_classes: BamSegmenter(tiny_encoder(), WIDTH, base_classes),
    )
    weights, path = official_bam(), tmp_path / "train_epoch_1.pth"
    torch.save({"epoch": 1, "state_dict": {f"module.{key}": value for key, value in weights.items()}}, path)
    convert(name, "resnet50", path, tmp_path / name)
    network, given = load_network(tmp_path / name), episode(1)
    torch.testing.assert_close(network(*given), bam(weights, base_classes)(*given))
    del weights["res1_meta.0.weight"]
    torch.save({"state_dict": {**weights, "cls_extra.weight": torch.zeros(2)}}, path)
    with pytest.raises(WeightsError, match=r"1 unknown: cls_extra.weight; 1 missing: classifier.narrow.0.weight"):
        load_checkpoint(name, "resnet50", path)
