"""Arrays exactly as MONAI Label and MONAI Deploy hand them over, through a bundle's transforms and back."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Compose, LoadImaged
from monai.utils import MetaKeys
from PIL import Image

from medtap.data import image_transforms
from medtap.errors import InputError, medtap_cause
from medtap.workflows.bundle import postprocessing, preprocessing
from medtap.workflows.hosts import FromHostd, ToHostd

HEIGHT, WIDTH = 6, 4
GREY = np.arange(HEIGHT * WIDTH, dtype=np.uint8).reshape(HEIGHT, WIDTH) * 10
COLOUR = np.stack([GREY, GREY[::-1], GREY[:, ::-1]], axis=-1)


def from_label(array):
    """What LoadImageTensord of MONAI Label 0.8.5 makes of pixels that were not given as a file."""
    meta = {"spatial_shape": array.shape[:-1], "original_channel_dim": -1, "original_affine": None}
    return MetaTensor(array, meta=meta)


def from_deploy(array):
    """What MonaiBundleInferenceOperator of MONAI Deploy 4.0.0 makes of an Image of [planes,H,W] or [H,W,3]."""
    swapped, affine = np.swapaxes(array, 0, 2), np.diag([-0.5, -0.5, 1.0, 1.0])
    meta = {MetaKeys.ORIGINAL_AFFINE: affine, MetaKeys.AFFINE: affine.copy(), MetaKeys.SPACE: "LPS"}
    meta |= {"spacing": np.array([0.5, 0.5, 1.0]), MetaKeys.SPATIAL_SHAPE: np.asarray(swapped.shape)}
    meta[MetaKeys.ORIGINAL_CHANNEL_DIM] = "no_channel"
    return MetaTensor.ensure_torch_and_prune_meta(np.ascontiguousarray(swapped), meta)


def without_loading(steps):
    """A bundle's preprocessing as hosts keep it that have read the image themselves."""
    return Compose([step for step in steps.transforms if not isinstance(step, LoadImaged)])


def there_and_back(tensor, volumes=False):
    """An image as the network gets it, and a mask of its brighter half as the host gets it."""
    before = preprocessing("axial", volumes)
    item = without_loading(before)({"image": tensor})
    bright = item["image"].as_tensor()[:1] > 0.5
    logits = torch.cat([~bright, bright]).float()
    return item["image"], postprocessing(before, ("bright",))({**item, "pred": logits})["pred"]


HANDED_OVER = {
    "Label, grey [W,H,1]": (from_label(GREY.T[..., None].copy()), GREY, (1, WIDTH, HEIGHT)),
    "Label, colour [H,W,3]": (from_label(COLOUR), COLOUR, (1, HEIGHT, WIDTH)),
    "Deploy, one plane [W,H,1]": (from_deploy(GREY[None]), GREY, (1, WIDTH, HEIGHT, 1)),
    "Deploy, colour [3,W,H]": (from_deploy(COLOUR), COLOUR, (1, WIDTH, HEIGHT, 1)),
    "Deploy, colour [W,H,1,3]": (from_deploy(COLOUR[None]), COLOUR, (1, WIDTH, HEIGHT, 1)),
    "an image of its own meta data [H,W,3]": (MetaTensor(COLOUR), COLOUR, (1, WIDTH, HEIGHT, 1)),
    "an image of its own meta data [H,W]": (MetaTensor(GREY), GREY, (1, WIDTH, HEIGHT, 1)),
}


@pytest.mark.parametrize(("tensor", "pixels", "shape"), HANDED_OVER.values(), ids=HANDED_OVER)
def test_network_gets_what_it_gets_of_the_file(tensor, pixels, shape, tmp_path):
    Image.fromarray(pixels).save(tmp_path / "image.png")
    image, mask = there_and_back(tensor)
    expected = image_transforms()({"image": str(tmp_path / "image.png")})["image"]
    assert image.shape == (3, HEIGHT, WIDTH)
    torch.testing.assert_close(image.as_tensor(), expected.as_tensor(), rtol=0, atol=0)
    assert mask.shape == shape


@pytest.mark.parametrize(("tensor", "pixels", "shape"), HANDED_OVER.values(), ids=HANDED_OVER)
def test_mask_lies_on_the_hosts_axes(tensor, pixels, shape):
    _, mask = there_and_back(tensor)
    bright = (pixels if pixels.ndim == 2 else pixels[..., 0]) > 127
    found = mask.reshape(shape[1:3]).numpy().astype(bool)
    assert np.array_equal(found if shape[1] == HEIGHT else found.T, bright)


def test_deploy_makes_its_own_order_of_it_again():
    """The last lines of the operator: one channel out, [W,H,planes] to [planes,H,W]."""
    _, mask = there_and_back(from_deploy(GREY[None]))
    assert np.array_equal(np.swapaxes(np.squeeze(mask.numpy(), 0), 0, 2)[0], GREY > 127)


@pytest.mark.parametrize("shape", [(1, HEIGHT, WIDTH), (1, 7, HEIGHT, WIDTH)])
def test_what_medtap_has_read_passes_untouched(shape):
    tensor = MetaTensor(torch.rand(shape), meta={"spacing_mm": [1.0] * (len(shape) - 1)})
    item = FromHostd("image")({"image": tensor})
    assert item["image"] is tensor
    pred = torch.ones(shape)
    assert ToHostd("pred")({**item, "pred": pred})["pred"] is pred


@pytest.mark.parametrize("planes", [2, 3, 7])
def test_volume_is_refused_where_images_are_wanted(planes):
    volume = from_deploy(np.zeros((planes, HEIGHT, WIDTH), np.float32))
    with pytest.raises(InputError, match=r"\[4, 6, \d\]; use the bundle of volumes, `slices`"):
        FromHostd("image")({"image": volume})


@pytest.mark.parametrize("planes", [1, 2, 3, 7])
def test_volume_goes_there_and_back_where_volumes_are_wanted(planes):
    stored = np.random.default_rng(0).permutation(planes * HEIGHT * WIDTH).reshape(planes, HEIGHT, WIDTH)
    image, mask = there_and_back(from_deploy(stored.astype(np.float32)), volumes=True)
    assert image.shape == (1, HEIGHT, WIDTH, planes)  # axial: x runs to the left, y to posterior, as displayed
    assert mask.shape == (1, WIDTH, HEIGHT, planes)
    brightness = np.swapaxes(stored, 0, 2)
    marked = mask[0].numpy().astype(bool)
    assert brightness[marked].min() > brightness[~marked].max()


def test_colour_is_an_image_where_volumes_are_wanted():
    image, _ = there_and_back(from_label(COLOUR), volumes=True)
    assert image.shape == (3, HEIGHT, WIDTH)


@pytest.mark.parametrize("shape", [(5,), (2, 3, HEIGHT, WIDTH), (1, 1, 1, HEIGHT, WIDTH)])
@pytest.mark.parametrize("volumes", [False, True])
def test_other_shapes_are_refused(shape, volumes):
    with pytest.raises(InputError, match="array of this shape"):
        FromHostd("image", volumes)({"image": torch.zeros(shape)})


def test_refusal_is_told_through_compose():
    with pytest.raises(RuntimeError) as caught:
        there_and_back(MetaTensor(torch.zeros(5, HEIGHT, WIDTH)))
    assert isinstance(medtap_cause(caught.value), InputError)
