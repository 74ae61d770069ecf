"""A pool of adapters gives the logits of the adapted networks, whatever is asked for in whatever order."""

from __future__ import annotations

from dataclasses import replace
from itertools import cycle, islice

import pytest
import torch
from torch import Tensor

from medtap import AdapterPool
from medtap.adaptation import TapOptions, take_a_peek
from medtap.adapted import AdaptedSegmenter
from medtap.adapters import Lora, Ssf
from medtap.errors import OptionError, WeightsError
from medtap.inference import PlaneInferer
from tests.tiny import random_images, support_set, tiny_network

OPTIONS = TapOptions(passes=2, guard="none", learning_rate=1e-2)


def adapt(shots: int = 3, classes: int = 1, seed: int = 0, lora: Lora = Lora(rank=4)) -> AdaptedSegmenter:  # noqa: B008
    return take_a_peek(tiny_network(), support_set(shots, classes, seed=seed), lora, OPTIONS)


@pytest.fixture(scope="module")
def networks() -> dict[str, AdaptedSegmenter]:
    """Two that share a layout, and others of other classes, shots, rank, scale and layers."""
    return {
        "first": adapt(),
        "second": adapt(seed=5),
        "two classes": adapt(classes=2),
        "two shots": adapt(shots=2),
        "scaled": adapt(lora=Lora(rank=2, alpha=3.0, targets="all")),
    }


@pytest.fixture(scope="module")
def pool(networks) -> AdapterPool:
    pool = AdapterPool(tiny_network(), batch_size=4)
    for name, adapted in networks.items():
        pool.add(name, adapted)
    return pool


def hooks(pool: AdapterPool) -> int:
    return sum(len(module._forward_hooks) for module in pool.network.modules())


def alone(adapted: AdaptedSegmenter, image: Tensor) -> Tensor:
    return PlaneInferer(adapted.size)(image[None], adapted)[0]


@pytest.mark.parametrize(
    "names",
    [
        ["first"] * 5,
        ["first", "second", "first", "second", "second"],
        ["two classes", "first", "scaled", "two shots", "second", "first", "scaled"],
    ],
    ids=["one", "alike", "mixed"],
)
def test_logits_are_the_adapted_network_s_own(pool, networks, names: list[str]) -> None:
    images = [random_images(1, 50 + 7 * number, 64, seed=number)[0] for number in range(len(names))]
    found = list(pool.predict(zip(names, images, strict=True)))
    assert len(found) == len(names)
    for name, image, logits in zip(names, images, found, strict=True):
        expected = alone(networks[name], image)
        torch.testing.assert_close(logits, expected, atol=1e-3, rtol=1e-3)


def test_adapters_differ(pool) -> None:
    image = random_images(1)[0]
    first, second = pool.predict([("first", image), ("second", image)])
    assert (first - second).abs().max() > 0.01


def test_grey_images_are_taken(pool, networks) -> None:
    image = random_images(1)[0, :1]
    (logits,) = pool.predict([("first", image)])
    torch.testing.assert_close(logits, alone(networks["first"], image), atol=1e-3, rtol=1e-3)


def test_an_endless_queue_is_served(pool) -> None:
    endless = ((name, random_images(1)[0]) for name in cycle(["first", "second"]))
    assert len(list(islice(pool.predict(endless), 6))) == 6


def test_saved_folder_is_taken(networks, tmp_path) -> None:
    pool, image = AdapterPool(tiny_network()), random_images(1)[0]
    pool.add("saved", networks["first"].save(tmp_path / "first"))
    (logits,) = pool.predict([("saved", image)])
    torch.testing.assert_close(logits, alone(networks["first"], image), atol=1e-3, rtol=1e-3)


def test_base_network_is_left_without_hooks(pool) -> None:
    before = hooks(pool)
    list(pool.predict([("first", random_images(1)[0])]))
    assert hooks(pool) == before


def test_factors_are_kept_in_half_precision(networks) -> None:
    pool, adapted = AdapterPool(tiny_network()), networks["first"]
    pool.add("first", adapted)
    factors = 2 * sum(value.numel() for value in adapted.adapter.values())
    assert pool.nbytes <= factors + sum(kept.nbytes for kept in adapted.memory)
    assert pool.nbytes == pool.residents["first"].nbytes
    pool.add("first", adapted)
    assert len(pool.residents) == 1


def test_adapter_of_other_weights_is_refused(networks, tmp_path) -> None:
    pool = AdapterPool(tiny_network(seed=1))
    with pytest.raises(WeightsError, match="'first' belongs to other base weights; expected tiny with weights of"):
        pool.add("first", networks["first"])
    with pytest.raises(WeightsError, match="belongs to other base weights"):
        pool.add("first", networks["first"].save(tmp_path / "first"))


def test_other_adapters_are_refused() -> None:
    pool = AdapterPool(tiny_network())
    with pytest.raises(OptionError, match="'ssf' cannot be served from a pool; expected a network adapted by lora"):
        pool.add("ssf", take_a_peek(tiny_network(), support_set(2), Ssf(), replace(OPTIONS, passes=1)))
    for name, value in (("subsets", 1), ("self_support", True)):
        refined = adapt()
        setattr(refined, name, value)
        with pytest.raises(OptionError, match="a pool segments 'refined' neither by subsets nor by itself"):
            pool.add("refined", refined)
    with pytest.raises(OptionError, match="found one without a record"):
        pool.add("blank", AdaptedSegmenter.blank(tiny_network(), ("thing",)))


def test_unknown_names_and_shapes_are_refused(pool) -> None:
    with pytest.raises(
        OptionError, match="no adapter of the pool is called 'third'; expected one of first, scaled, sec"
    ):
        list(pool.predict([("third", random_images(1)[0])]))
    with pytest.raises(
        OptionError, match=r"cannot be segmented; expected \[C,H,W\], C one or three; found \[2, 8, 8\]"
    ):
        list(pool.predict([("first", torch.zeros(2, 8, 8))]))
    with pytest.raises(OptionError, match="fewer than one at once; found 0"):
        AdapterPool(tiny_network(), batch_size=0)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_gpu_serves_the_cpu_s_logits(networks) -> None:
    pool = AdapterPool(tiny_network(), device="cuda", precision="float32")
    for name in ("first", "second"):
        pool.add(name, networks[name])
    images = random_images(2)
    queue = list(zip(("first", "second"), images, strict=True))
    for logits, (name, image) in zip(pool.predict(queue), queue, strict=True):
        torch.testing.assert_close(logits.cpu(), alone(networks[name], image), atol=1e-2, rtol=1e-2)
