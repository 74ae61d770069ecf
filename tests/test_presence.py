"""Whether a picture shows a class: learnt from a support set, leave-one-out, and obeyed in every way of segmenting."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from medtap import take_many_peeks
from medtap.adaptation import TapOptions, take_a_peek
from medtap.adapted import TENSORS, AdaptedSegmenter, load_adapted
from medtap.adapters import Lora
from medtap.many import AdapterPool
from medtap.networks.classes import remember_classes
from medtap.networks.zoo import load_network
from medtap.presence import Presence, evidence, learn_presence, without_absent
from medtap.workflows import SegmentOptions, adapt, predict
from tests.networks.tiny_sam import tiny_sam
from tests.test_lacking import with_lacking
from tests.tiny import SIZE, as_torchscript, random_images, support_set, tiny_network

NEVER, ALWAYS = Presence(0.01, 1.0), Presence()


def adapted(**how: object) -> AdaptedSegmenter:
    network = take_a_peek(tiny_network(), support_set(3, 2), Lora(rank=2), TapOptions(passes=1))
    SegmentOptions(**how).set_on(network)
    return network


def showing(network: AdaptedSegmenter, *presence: Presence) -> AdaptedSegmenter:
    """The network made to tell by other bounds, as if it had been loaded with them."""
    network.load_state_dict(network.state_dict() | {"presence_values": torch.tensor(presence)})
    return network


def logits(network: torch.nn.Module, images: Tensor) -> Tensor:
    with torch.no_grad():
        return network(images)


def learnt(monkeypatch: pytest.MonkeyPatch, masks: Tensor, sure: Tensor, volumes: Tensor) -> tuple[Presence, ...]:
    """What a network learns that is so sure [K,N] of each class in each picture, as leave-one-out finds it."""
    rows = iter(sure)
    monkeypatch.setattr("medtap.presence.recall_classes", lambda *_: None)
    monkeypatch.setattr("medtap.presence.evidence", lambda *_: next(rows)[None])
    return learn_presence(tiny_network(), (torch.zeros(len(masks), 1),), (sure.T,), masks, volumes)


def squares(*sides: tuple[int, ...]) -> Tensor:
    """Labels [K,10,10]: of each picture the sides of a square of class 1 and, if told, of class 2."""
    masks = torch.zeros((len(sides), 10, 10), dtype=torch.int64)
    for mask, own in zip(masks, sides, strict=True):
        for label, side in enumerate(own, start=1):
            mask[label * 5 - 5 :, :5][:side, :side] = label
    return masks


def test_evidence_is_the_mean_over_the_likeliest_pixels() -> None:
    leads = torch.randn((2, 2, 6, 5), generator=torch.Generator().manual_seed(0))
    given = torch.cat([torch.zeros(2, 1, 6, 5), leads], dim=1)
    seen = evidence(given, (0.1, 0.0))
    likely = given.softmax(1)[:, 1:].flatten(2).sort(dim=2, descending=True).values
    torch.testing.assert_close(seen, torch.stack([likely[:, 0, :3].mean(1), likely[:, 1, 0]], dim=1))


def test_only_what_is_absent_is_left_out() -> None:
    given = torch.randn((2, 3, 4, 4), generator=torch.Generator().manual_seed(1))
    kept = without_absent(given, torch.tensor([[0.4, 0.9], [0.6, 0.1]]), (Presence(0.1, 0.5), ALWAYS))
    assert torch.equal(kept[1], given[1])
    assert torch.equal(kept[0, [0, 2]], given[0, [0, 2]])
    assert (kept[0, 1] <= kept[0, 0] - 10).all()


def test_the_bound_lies_halfway(monkeypatch: pytest.MonkeyPatch) -> None:
    masks, sure = squares((4,), (2,), (5,), (), ()), torch.tensor([[0.9], [0.75], [0.8], [0.25], [0.5]])
    (told,) = learnt(monkeypatch, masks, sure, torch.arange(5))
    assert told == pytest.approx(Presence(0.02, 0.63), abs=1e-3)  # half of 4 pixels in 100


@pytest.mark.parametrize(
    ("sure", "least"),
    [([0.9, 0.4, 0.8, 0.3, 0.5], 0.39), ([0.9, 0.2, 0.8, 0.4, 0.5], 0.0)],
    ids=["one without lies above", "all without lie above"],
)
def test_what_is_sure_although_nothing_is_there_is_passed_over(
    monkeypatch: pytest.MonkeyPatch, sure: list[float], least: float
) -> None:
    masks = squares((4,), (2,), (5,), (), ())
    (told,) = learnt(monkeypatch, masks, torch.tensor(sure)[:, None], torch.arange(5))
    assert told.least == pytest.approx(least, abs=1e-3)


def test_of_several_classes_each_has_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    masks = squares((4, 4), (3,), (2, 3), (3, 0))
    sure = torch.tensor([[0.9, 0.8], [0.8, 0.4], [0.7, 0.7], [0.9, 0.5]])
    one, other = learnt(monkeypatch, masks, sure, torch.arange(4))
    assert one == ALWAYS  # every picture shows it
    assert other.least == pytest.approx(0.605, abs=1e-3)


def test_one_odd_picture_of_many_does_not_set_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    masks, sure = squares(*[(3,)] * 20, (), ()), torch.tensor([0.1, *[0.9] * 19, 0.2, 0.5])
    (told,) = learnt(monkeypatch, masks, sure[:, None], torch.arange(22))
    assert told.least == pytest.approx(0.7, abs=1e-3)


@pytest.mark.parametrize(
    ("masks", "volumes"),
    [
        (squares((4,), (2,), (5,)), [0, 1, 2]),
        (squares((4,), (), ()), [0, 1, 2]),
        (squares((4, 1), (3, 2), (2,), (2,)), [0, 0, 1, 2]),
    ],
    ids=["none is without it", "one shows it", "one volume shows the second"],
)
def test_what_the_set_cannot_tell_is_not_looked_for(
    monkeypatch: pytest.MonkeyPatch, masks: Tensor, volumes: list[int]
) -> None:
    sure = torch.linspace(0.9, 0.1, len(masks))[:, None].expand(-1, int(masks.max()))
    assert set(learnt(monkeypatch, masks, sure, torch.tensor(volumes))) == {ALWAYS}


def test_a_set_with_both_is_learnt_from_and_saved(tmp_path: Path) -> None:
    base, support, options = load_network("medtap-atto"), with_lacking(4, 3), TapOptions(passes=1, guard="none")
    network = take_a_peek(base, support, options=options)
    (told,) = network.presence
    assert 0 < told.least < 1
    assert told.area == pytest.approx(0.5 * float((support.masks > 0).float().mean((1, 2)).min()), rel=1e-3)
    assert load_adapted(network.save(tmp_path), base).presence == network.presence
    filled = AdaptedSegmenter.blank(base, network.classes)
    filled.load_state_dict(network.state_dict())
    assert filled.presence == network.presence
    together = take_many_peeks(base, [support, with_lacking(4, 3, 1)], options=options)
    torch.testing.assert_close(torch.tensor(together[0].presence), torch.tensor(network.presence), atol=0.02, rtol=0)
    shows = [len(logits(network, images).argmax(1).unique()) == 2 for images in (support.images, support.lacking)]
    assert shows == [True, False]


def test_what_an_older_version_wrote_is_loaded_as_it_was(tmp_path: Path) -> None:
    network = adapted()
    older = network.state_dict()
    del older["presence_values"]
    filled = AdaptedSegmenter.blank(tiny_network(), network.classes)
    filled.load_state_dict(older)
    assert filled.presence == network.presence == (ALWAYS, ALWAYS)
    assert not filled.looks_for_absence
    network.save(tmp_path)
    assert (tmp_path / TENSORS).is_file()
    assert load_adapted(tmp_path, tiny_network()).presence == (ALWAYS, ALWAYS)


@torch.no_grad()
def test_each_picture_is_asked_by_those_of_other_volumes() -> None:
    """Two classes at once, one of which every other picture lacks, against one picture after another by hand."""
    network, support = load_network("medtap-atto"), support_set(4, 2, seed=3)
    masks = support.masks.clone()
    masks[1:4:2][masks[1:4:2] == 2] = 0
    masks, volumes = torch.cat([masks, torch.zeros_like(masks[:1])]), torch.tensor([0, 0, 1, 1, 0])
    images = torch.cat([support.images, 0.5 * random_images(1, seed=5)])
    features = network.encode(images)
    memory = remember_classes(network, tuple(level[:4] for level in features), masks[:4], 2)
    told = learn_presence(network, features, memory, masks, volumes)
    likely = []
    for picture, shots in zip(images, ([2, 3], [2, 3], [0, 1], [0, 1], [2, 3]), strict=True):
        by_class = ((masks[None, shots] == label).float() for label in (1, 2))
        leads = [network(picture[None], images[None, shots], own)[0].diff(dim=0)[0] for own in by_class]
        likely.append(torch.stack([torch.zeros_like(leads[0]), *leads]).softmax(0))
    for label, presence in enumerate(told, start=1):
        areas = (masks == label).float().mean((1, 2))
        count, there = round(0.5 * float(areas[areas > 0].min()) * SIZE**2), areas > 0
        sure = torch.stack([each[label].flatten().topk(count).values.mean() for each in likely])
        below = sure[~there & (sure < sure[there].quantile(0.1))]
        expected = (sure[there].quantile(0.1) + below.max()) / 2 if len(below) else torch.tensor(0.0)
        assert presence.least == pytest.approx(float(expected), abs=5e-3)
    assert any(each.least > 0 for each in told)


def test_a_network_that_looks_at_no_support_image_is_not_asked() -> None:
    network = take_a_peek(tiny_sam(), with_lacking(4, 3), Lora(rank=2), TapOptions(passes=1))
    assert network.presence == (ALWAYS,)


@pytest.mark.parametrize("how", [{}, {"subsets": 2}, {"self_support": True}])
def test_a_class_that_is_never_shown_is_never_found(how: dict[str, object]) -> None:
    network, images = adapted(**how), random_images(2, seed=7)
    found = logits(network, images)
    left_out = logits(showing(network, ALWAYS, NEVER), images)
    assert torch.equal(left_out[:, :2], found[:, :2])
    assert (left_out[:, 2] < left_out[:, 0]).all()
    network.check_presence = False
    assert torch.equal(logits(network, images), found)


def test_the_first_look_tells_before_an_image_supports_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    network, images, looked = showing(adapted(self_support=True), ALWAYS, NEVER), random_images(2, seed=7), []
    monkeypatch.setattr("medtap.adapted.evidence", lambda *given: looked.append(given[0]) or evidence(*given))
    logits(network, images)
    network.self_support, network.check_presence = False, False
    assert torch.equal(looked[0], logits(network, images))


def test_a_pool_leaves_out_what_each_adapter_would() -> None:
    pool, images = AdapterPool(tiny_network()), random_images(2, seed=7)
    networks = {"both": adapted(), "one": showing(adapted(), ALWAYS, NEVER)}
    for name, network in networks.items():
        pool.add(name, network)
    served = pool.predict(zip(networks, images, strict=True))
    for network, image, own in zip(networks.values(), images, served, strict=True):
        torch.testing.assert_close(own, logits(network, image[None])[0], atol=1e-4, rtol=1e-3)


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
def test_torchscript_traces_it() -> None:
    network, images = showing(adapted(), Presence(0.1, 0.5), NEVER), random_images(3, seed=9)
    torch.testing.assert_close(logits(as_torchscript(network), images), logits(network, images), atol=1e-5, rtol=1e-4)


def test_it_reaches_the_jobs_and_is_told(volumes: tuple[Path, Path], tmp_path: Path) -> None:
    options = {"options": TapOptions(passes=1), "shots": 3, "lacking": 3, "size": SIZE, "device": "cpu"}
    network = adapt(*volumes, tmp_path / "adapter", **options)
    told = ", ".join(f"class{label} below {each.least:.2f}" for label, each in enumerate(network.presence, start=1))
    note = f"a class is left out of planes where the network is less sure of it than the support set asks: {told}"
    for name, presence in (("with", True), ("without", False)):
        outcome = predict(tmp_path / "adapter", volumes[0], tmp_path / name, device="cpu", presence=presence)
        assert (note in outcome.warnings) is presence
        assert json.loads((tmp_path / name / "run.json").read_text())["options"]["presence"] is presence
        assert ("--no-presence" in (tmp_path / name / "report.html").read_text()) is not presence
