from __future__ import annotations

import numpy as np
import torch
from PIL import Image

from medtap.data import resize_images, resize_masks


def test_images_are_resized_as_pillow_does_with_antialias():
    pixels = np.random.default_rng(0).random((30, 50), dtype=np.float32)
    reference = np.asarray(Image.fromarray(pixels).resize((16, 16), Image.Resampling.BILINEAR))
    np.testing.assert_allclose(resize_images(torch.from_numpy(pixels)[None, None], 16)[0, 0], reference, atol=1e-5)


def test_the_right_size_is_left_alone():
    images = torch.rand(2, 3, 8, 8)
    assert resize_images(images, 8) is images


def test_masks_keep_their_labels_and_type():
    masks = torch.tensor([[[0, 3], [2, 1]]])
    torch.testing.assert_close(resize_masks(masks, 4), masks.repeat_interleave(2, 1).repeat_interleave(2, 2))
