"""Inference on images and volumes of any size."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from torch import Tensor

from medtap import inference
from medtap.adaptation import TapOptions, take_a_peek
from medtap.adapted import AdaptedSegmenter
from medtap.adapters import Lora
from medtap.data.resize import resize_images
from medtap.errors import AdaptationError, OptionError
from medtap.inference import PlaneInferer, choose_device
from medtap.networks.segmenter import resize_logits
from tests.tiny import random_images, support_set, tiny_network

without_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="a CUDA device is there")


@pytest.fixture(scope="module")
def adapted() -> AdaptedSegmenter:
    return take_a_peek(tiny_network(), support_set(3, 2), Lora(rank=2), TapOptions(passes=1))


class Watched:
    """A network that counts its pictures in each call, and runs out of memory above a number of them."""

    def __init__(self, most: int = 1000) -> None:
        self.most, self.calls = most, []

    def __call__(self, images: Tensor) -> Tensor:
        self.calls.append(len(images))
        if len(images) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return torch.stack([1 - images.mean(1), images.mean(1)], dim=1)


@pytest.mark.parametrize(("height", "width"), [(64, 64), (40, 90), (133, 71), (1, 1), (300, 7)])
def test_logits_lie_on_the_image_s_own_grid(adapted: AdaptedSegmenter, height: int, width: int) -> None:
    image = random_images(1, height, width)
    logits = PlaneInferer(64)(image, adapted)
    assert logits.shape == (1, 3, height, width)
    assert logits.dtype == torch.float32
    with torch.no_grad():
        expected = resize_logits(adapted(resize_images(image, 64)), (height, width))
    torch.testing.assert_close(logits, expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("channels", [1, 3])
def test_volume_equals_its_planes_one_by_one(adapted: AdaptedSegmenter, channels: int) -> None:
    volume = random_images(11, 50, 38).movedim(0, -1)[None, :channels]
    logits = PlaneInferer(64, batch_size=4)(volume, adapted)
    assert logits.shape == (1, 3, 50, 38, 11)
    assert logits.dtype == torch.float16
    inferer = PlaneInferer(64)
    for plane in range(11):
        alone = inferer(volume[..., plane], adapted)
        torch.testing.assert_close(logits[..., plane].float(), alone, atol=2e-3, rtol=2e-3)


def test_batch_of_volumes(adapted: AdaptedSegmenter) -> None:
    volumes = random_images(10, 30, 20).unflatten(0, (2, 5)).movedim(1, -1)
    at_once = PlaneInferer(64, batch_size=2)(volumes, adapted)
    alone = torch.cat([PlaneInferer(64, batch_size=2)(volume[None], adapted) for volume in volumes])
    assert torch.equal(at_once, alone)


@pytest.mark.parametrize("batch_size", [1, 3, 7, 100])
def test_batch_size_changes_nothing(adapted: AdaptedSegmenter, batch_size: int) -> None:
    images = random_images(7, 50, 38)
    expected = PlaneInferer(64)(images, adapted)
    torch.testing.assert_close(PlaneInferer(64, batch_size)(images, adapted), expected, atol=1e-5, rtol=1e-4)


def test_batches_are_as_large_as_asked_for() -> None:
    network = Watched()
    PlaneInferer(32, batch_size=3)(random_images(7, 40).movedim(0, -1)[None], network)
    assert network.calls == [3, 3, 1]


@pytest.mark.parametrize("volume", [False, True])
def test_out_of_memory_halves_the_batch_for_good(volume: bool) -> None:
    network, images = Watched(most=2), random_images(20, 24, 40)
    inputs = images.movedim(0, -1)[None] if volume else images
    inferer = PlaneInferer(32, batch_size=8)
    with pytest.warns(UserWarning, match="out of GPU memory: segmenting") as said:
        logits = inferer(inputs, network)
    assert [str(warning.message)[-16:] for warning in said] == ["4 planes at once", "2 planes at once"]
    assert network.calls == [8, 4] + [2] * 10
    assert inferer.batch_size == 2
    expected = PlaneInferer(32, batch_size=1)(inputs, Watched())
    torch.testing.assert_close(logits, expected)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        inferer(inputs, network)


def test_out_of_memory_for_one_image_is_an_error() -> None:
    with (
        pytest.warns(UserWarning, match="segmenting 1 planes at once"),
        pytest.raises(AdaptationError, match="the GPU's memory does not hold one image; use --device cpu"),
    ):
        PlaneInferer(32, batch_size=2)(random_images(3), Watched(most=0))


@pytest.mark.parametrize("volume", [False, True])
def test_open_batch_size_is_chosen_once(volume: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[torch.device] = []

    def chosen(device: torch.device, segment_one: Callable[[], object]) -> int:
        asked.append(device)
        segment_one()
        return 4

    monkeypatch.setattr(inference, "batch_that_fits", chosen)
    network, images, inferer = Watched(), random_images(6, 40), PlaneInferer(32)
    inputs = images.movedim(0, -1)[None] if volume else images
    logits = [inferer(inputs, network), inferer(inputs, network)]
    assert asked == [torch.device("cpu")]
    assert network.calls == [1, 4, 2, 4, 2]
    torch.testing.assert_close(logits[0], PlaneInferer(32, batch_size=1)(inputs, Watched()))


def test_images_of_a_stream_are_segmented_as_alone(adapted: AdaptedSegmenter) -> None:
    images = [random_images(1, 40 + 9 * number, 64, seed=number)[0] for number in range(5)]
    images[2] = images[2][:1]
    inferer = PlaneInferer(64, batch_size=2)
    streamed = list(inferer.stream(iter(images), adapted, torch.device("cpu")))
    for image, logits in zip(images, streamed, strict=True):
        torch.testing.assert_close(logits, inferer(image[None], adapted)[0], atol=1e-5, rtol=1e-4)


def test_stream_goes_in_batches_halved_when_memory_ends() -> None:
    network, images = Watched(most=2), random_images(7, 40)
    inferer = PlaneInferer(32, batch_size=4)
    with pytest.warns(UserWarning, match="out of GPU memory: segmenting 2 planes at once"):
        streamed = list(inferer.stream(images, network, torch.device("cpu")))
    assert network.calls == [4, 2, 2, 2, 1]
    assert len(streamed) == 7
    assert list(inferer.stream([], network, torch.device("cpu"))) == []


def test_other_errors_pass_through() -> None:
    def broken(_: Tensor) -> Tensor:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        PlaneInferer(32)(random_images(1), broken)


def test_volume_without_planes_is_refused() -> None:
    with pytest.raises(OptionError, match="a volume without planes cannot be segmented"):
        PlaneInferer(32)(torch.zeros(1, 1, 8, 8, 0), Watched())


@pytest.mark.parametrize("shape", [(3, 8, 8), (8, 8), (1, 2, 8, 8), (1, 4, 8, 8, 2)])
def test_inputs_of_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(
        OptionError, match=r"cannot be segmented; expected \[B,C,H,W\] or \[B,C,H,W,D\], C one or three"
    ):
        PlaneInferer(32)(torch.zeros(shape), Watched())


def test_metadata_stays_outside(adapted: AdaptedSegmenter) -> None:
    seen: list[type] = []

    def network(images: Tensor) -> Tensor:
        seen.append(type(images))
        return adapted(images)

    image = random_images(1, 40, 50)
    logits = PlaneInferer(64)(MetaTensor(image, affine=np.eye(4)), network)
    assert seen == [Tensor]
    assert torch.equal(torch.as_tensor(logits), PlaneInferer(64)(image, adapted))


@pytest.mark.parametrize("volume", [False, True])
def test_input_is_left_as_it_was_and_nothing_is_differentiated(adapted: AdaptedSegmenter, volume: bool) -> None:
    inputs = random_images(3, 50).movedim(0, -1)[None] if volume else random_images(3, 50)
    kept = inputs.clone()
    assert not PlaneInferer(64)(inputs, adapted).requires_grad
    assert torch.equal(inputs, kept)


def test_arguments_reach_the_network() -> None:
    def network(images: Tensor, scale: float, *, shift: float) -> Tensor:
        return images[:, :2] * scale + shift

    image = random_images(1, 32)
    torch.testing.assert_close(PlaneInferer(32)(image, network, 2.0, shift=1.0), image[:, :2] * 2 + 1)


def test_bfloat16_is_nearly_the_same(adapted: AdaptedSegmenter) -> None:
    images = random_images(2, 70, 50)
    exact = PlaneInferer(64, precision="float32")(images, adapted)
    quick = PlaneInferer(64, precision="bfloat16")(images, adapted)
    assert quick.dtype == torch.float32
    assert not torch.equal(quick, exact)
    torch.testing.assert_close(quick, exact, atol=0.1, rtol=0.1)


@without_gpu
def test_auto_precision_is_exact_on_the_cpu(adapted: AdaptedSegmenter) -> None:
    images = random_images(2, 70, 50)
    assert torch.equal(PlaneInferer(64)(images, adapted), PlaneInferer(64, precision="float32")(images, adapted))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: PlaneInferer(32, precision="float16"),
            "no precision is called 'float16'; expected auto, float32, bfloat16",
        ),
        (lambda: PlaneInferer(0, 8), "size and batch size are at least 1; found 0 and 8"),
        (lambda: PlaneInferer(32, batch_size=0), "size and batch size are at least 1; found 32 and 0"),
    ],
)
def test_numbers_that_cannot_be_are_refused(make: Callable[[], PlaneInferer], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        make()


def test_cpu_is_always_there() -> None:
    assert choose_device("cpu") == torch.device("cpu")
    assert choose_device("cpu:0") == torch.device("cpu:0")


@pytest.mark.parametrize("name", ["", "gpu", "mps", "cuda:", "cuda:x", "cpu:-1", "cuda1"])
def test_unknown_device_is_refused(name: str) -> None:
    with pytest.raises(OptionError, match=f"no device is called '{name}'; expected auto, cpu or cuda"):
        choose_device(name)


@without_gpu
def test_auto_is_the_cpu_without_a_gpu() -> None:
    assert choose_device() == torch.device("cpu")


@without_gpu
@pytest.mark.parametrize("name", ["cuda", "cuda:0", "cuda:1"])
def test_cuda_asked_for_and_absent_is_refused(name: str) -> None:
    with pytest.raises(OptionError, match="CUDA was asked for and is absent; use --device auto or --device cpu"):
        choose_device(name)


def test_cuda_device_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert choose_device("auto") == torch.device("cuda")
    assert choose_device("cuda:0") == torch.device("cuda:0")
    with pytest.raises(OptionError, match="there is no device 'cuda:1'"):
        choose_device("cuda:1")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-3), ("auto", 0.1)])
def test_gpu_gives_the_cpu_s_logits(precision: str, tolerance: float) -> None:
    network = take_a_peek(tiny_network(), support_set(3, 2), Lora(rank=2), TapOptions(passes=1))
    volume = random_images(5, 50, 38).movedim(0, -1)[None]
    expected = PlaneInferer(64, precision="float32")(volume, network)
    found = PlaneInferer(64, precision=precision)(volume.cuda(), network.cuda())
    assert found.is_cuda
    torch.testing.assert_close(found.cpu(), expected, atol=tolerance, rtol=tolerance)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_gpu_streams_the_cpu_s_logits() -> None:
    network, images = (
        take_a_peek(tiny_network(), support_set(3), Lora(rank=2), TapOptions(passes=1)),
        random_images(9, 50),
    )
    expected = PlaneInferer(64, 4)(images, network)
    network = network.cuda()
    for batch_size in (4, None):
        inferer = PlaneInferer(64, batch_size, precision="float32")
        for logits, own in zip(inferer.stream(images, network, torch.device("cuda")), expected, strict=True):
            torch.testing.assert_close(logits.cpu(), own, atol=1e-3, rtol=1e-3)
