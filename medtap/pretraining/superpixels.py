"""Episodes from photographs without annotation: a region of one photograph, seen in views that differ strongly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from skimage.segmentation import felzenszwalb
from torch import Generator, Tensor
from torch.nn import functional as F

from medtap.chance import pick, smooth_noise, uniform
from medtap.pretraining.appearance import blur, deform
from medtap.pretraining.camera import between
from medtap.pretraining.natural import NaturalEpisodes, recolour
from medtap.pretraining.scenes import SCENES, Scene
from medtap.pretraining.synthetic import Task, last_without
from medtap.pretraining.views import ViewSampler

_SEGMENT_SIDE = 112
_ATTEMPTS = 10
_LEAST_SHARE = 0.006


@dataclass(frozen=True)
class SuperpixelEpisodes:
    """Photographs whose regions, found by their colour alone, are the classes (Ouyang et al., ECCV 2020, SSL-ALPNet).

    Attributes:
        images: uint8 tensors [3,H,W].
    """

    images: tuple[Tensor, ...]

    @classmethod
    def of(cls, photographs: NaturalEpisodes) -> SuperpixelEpisodes:
        """The same photographs, their annotation left out."""
        return cls(photographs.images)

    def task(self, n: int, size: int, generator: Generator) -> Task:
        """Draw n views [n,3,S,S] in [0,1] of one photograph and the masks [n,S,S] of one region, or of several alike.

        Each view has its own affine map, smooth displacement, colours, blur and noise; a part of it may be covered.
        """
        image = self.images[pick(0, len(self.images) - 1, generator)].float() / 255
        region = _region(_shrink(image), generator)
        grids, masks = self._views(region, n, size, generator)
        views = F.grid_sample(image.expand(n, -1, -1, -1), grids, "bilinear", "reflection", align_corners=False)
        if pick(0, 2, generator) == 0:
            views, masks = self._cover(views, masks, generator)
        return _degrade(recolour(views, generator), generator), masks

    def _views(self, region: Tensor, n: int, size: int, generator: Generator) -> Task:
        """Sampling grids [n,S,S,2] around a region [h,w] and the masks [n,S,S] seen there; a poor view is redrawn."""
        sampler = ViewSampler.of(region, generator)
        grids, masks = sampler.draw(n, size, generator)
        for _ in range(_ATTEMPTS):
            shares = masks.mean((1, 2))
            poor = (shares < _LEAST_SHARE) | (shares > 0.9)
            if not poor.any():
                break
            grids[poor], masks[poor] = sampler.draw(int(poor.sum()), size, generator)
        return grids, masks

    def _cover(self, views: Tensor, masks: Tensor, generator: Generator) -> Task:
        """Lay a patch of another photograph over each view; what it covers leaves the mask, if enough is left."""
        n, _, size, _ = views.shape
        other = self.images[pick(0, len(self.images) - 1, generator)].float() / 255
        patches = F.interpolate(other[None], (size, size), mode="bilinear", antialias=True)
        field = smooth_noise((n, 1), size, pick(2, 4, generator), generator)
        covered = field > uniform(1.2, 2.0, (n, 1, 1, 1), generator)
        left = masks * ~covered[:, 0]
        keep = (left.mean((1, 2)) > _LEAST_SHARE).view(n, 1, 1, 1)
        return torch.where(covered & keep, patches, views), torch.where(keep[:, 0], left, masks)


def _shrink(image: Tensor) -> Tensor:
    """A photograph [3,H,W] at a short side at which to look for regions."""
    scale = min(1.0, _SEGMENT_SIDE / min(image.shape[1:]))
    extent = [round(length * scale) for length in image.shape[1:]]
    return F.interpolate(image[None], extent, mode="bilinear", antialias=True)[0]


def _region(image: Tensor, generator: Generator) -> Tensor:
    """One region of a photograph [3,h,w], soft at its border: [h,w] in [0,1], above 0.5 within."""
    scale = float(2 ** uniform(5.5, 9.5, (1,), generator))
    least = pick(40, 160, generator)
    labels = felzenszwalb(image.permute(1, 2, 0).numpy(), scale=scale, sigma=0.8, min_size=least)
    chosen = _alike(image, torch.from_numpy(labels), generator)
    soft = blur(chosen[None, None].float(), between(0.5, 1.5, generator))[0, 0]
    return soft / soft.max()


def _alike(image: Tensor, labels: Tensor, generator: Generator) -> Tensor:
    """Pixels [h,w] of one label, and of those that touch it or lie anywhere and look like it."""
    count = int(labels.max()) + 1
    one_hot = F.one_hot(labels.flatten(), count).float()
    areas = one_hot.sum(0)
    tones = torch.cat([image, image.square()]).flatten(1) @ one_hot / areas
    tones = torch.cat([tones[:3], (tones[3:] - tones[:3].square()).clamp(min=0).sqrt()])
    fitting = (areas < 0.5 * areas.sum()).float()
    seed = int(torch.multinomial(areas.sqrt() * fitting + 1e-6, 1, generator=generator))
    distance = torch.linalg.vector_norm(tones - tones[:, seed : seed + 1], dim=0)
    wanted = between(0, 0.2, generator) * pick(0, 1, generator)
    if pick(0, 1, generator):
        distance = torch.where(_neighbours(labels.numpy(), seed, count), distance, torch.inf)
    distance[seed] = 0
    return (distance <= wanted)[labels]


def _neighbours(labels: np.ndarray, seed: int, count: int) -> Tensor:
    """Which of the labels [count] touch a label."""
    pairs = np.concatenate(
        [
            np.stack([labels[1:], labels[:-1]], -1).reshape(-1, 2),
            np.stack([labels[:, 1:], labels[:, :-1]], -1).reshape(-1, 2),
        ]
    )
    touching = pairs[(pairs == seed).any(1)]
    found = np.zeros(count, bool)
    found[touching.ravel()] = True
    return torch.from_numpy(found)


def _degrade(images: Tensor, generator: Generator) -> Tensor:
    """Uneven light, blur and noise of each view's own [n,3,S,S]."""
    n, _, size, _ = images.shape
    light = smooth_noise((n, 1), size, 2, generator) * uniform(0, 0.25, (n, 1, 1, 1), generator)
    images = images * light.exp() * uniform(0.85, 1.18, (n, 3, 1, 1), generator)
    if pick(0, 2, generator) == 0:
        images = blur(images, between(0.4, 1.6, generator) * size / 128)
    noise = torch.randn((n, 3, size, size), generator=generator) * uniform(0, 0.06, (n, 1, 1, 1), generator)
    return (images + noise).clamp(0, 1)


def textured_task(photographs: NaturalEpisodes, n: int, size: int, generator: Generator, lacking: int = 0) -> Task:
    """Draw n generated label maps filled with photographs: images [n,3,S,S] in [0,1] and masks [n,S,S].

    A label's photograph is the same in all pictures, its crop and tone are each picture's own, so that a border is a
    change of texture with natural statistics. A label may show the target's photograph in another tone. The last
    ``lacking`` pictures do not show the target.
    """
    labels, target = _shapes(n, size, generator)
    labels = last_without(labels, target, lacking)
    count = int(labels.max()) + 1
    sources = torch.randint(len(photographs.images), (count,), generator=generator)
    twins = torch.rand(count, generator=generator) < between(0, 0.4, generator)
    sources = torch.where(twins, sources[target[0]], sources)
    softness = between(0.3, 2.0, generator) * size / 128
    shares = blur(F.one_hot(labels, count).permute(0, 3, 1, 2).float(), softness)
    images = torch.zeros((n, 3, size, size))
    for label, source in enumerate(sources.tolist()):
        images += shares[:, label, None] * _fill(photographs.images[source], n, size, generator)
    return _degrade(recolour(images, generator), generator), torch.isin(labels, torch.tensor(target)).float()


def _shapes(n: int, size: int, generator: Generator) -> Scene:
    """A deformed scene: labels [n,S,S] and the labels of its target, which each picture shows."""
    while True:
        labels, target = SCENES[pick(0, len(SCENES) - 1, generator)](n, size, generator)
        labels = deform(labels, between(0.2, 1.0, generator), generator)
        shares = torch.isin(labels, torch.tensor(target)).float().mean((1, 2))
        if bool((shares > _LEAST_SHARE).all() & (shares < 0.95).all()):
            return labels, target


def _fill(photograph: Tensor, n: int, size: int, generator: Generator) -> Tensor:
    """N crops [n,3,S,S] of one photograph [3,H,W] in one drawn tone and contrast, jittered in each."""
    image = photograph[None].float() / 255
    height, width = photograph.shape[1:]
    extent = between(0.15, 0.6, generator) * uniform(0.8, 1.25, (n, 1), generator)
    scale = extent * min(height, width) / torch.tensor([width, height])
    centre = uniform(-1, 1, (1, 2), generator) + uniform(-0.25, 0.25, (n, 2), generator)
    centre = centre.clamp(-1, 1) * (1 - scale).clamp(min=0)
    matrix = torch.cat([torch.diag_embed(scale), centre[..., None]], 2)
    grid = F.affine_grid(matrix, [n, 1, size, size], align_corners=False)
    crops = F.grid_sample(image.expand(n, -1, -1, -1), grid, "bilinear", "reflection", align_corners=False)
    mean = crops.mean((2, 3), keepdim=True)
    tone = torch.lerp(mean, uniform(0.1, 0.9, (1, 3, 1, 1), generator), between(0, 1, generator))
    tone = tone + 0.05 * torch.randn((n, 3, 1, 1), generator=generator)
    return (crops - mean) * between(0.3, 1.2, generator) + tone
