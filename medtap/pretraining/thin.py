"""Scenes of thin structures: each gives n pictures, before a device has taken them, and their masks."""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor

from medtap.chance import pick, smooth_noise, uniform
from medtap.pretraining.camera import between, field_of_view, ground
from medtap.pretraining.curves import Growth, tree_depth
from medtap.pretraining.scenes import blob_depth, coordinates
from medtap.pretraining.synthetic import Task


def retina(n: int, size: int, generator: Generator) -> Task:
    """Colour fundus photographs: vessels that leave the optic disc, macula, exudates; the target vessels or disc."""
    field, zoom = field_of_view(n, size, generator), between(0.9, 2.2, generator)
    disc = uniform(-0.15, 0.15, (n, 2), generator) - torch.tensor([0.0, between(0.0, 0.5, generator)])
    radii = zoom * uniform(0.1, 0.16, (n, 1), generator) * uniform(0.9, 1.1, (n, 2), generator)
    disc_depth = blob_depth(disc, radii, 0.15, size, generator)
    depth = _arcades(disc, zoom, size, generator)
    stain = torch.tensor([0.35, 0.6, 0.5]).view(1, 3, 1, 1) * between(0.4, 1.1, generator)
    images = _fundus(disc, disc_depth, zoom, generator) * (1 - stain * _opacity(depth, generator)) * field
    target = disc_depth if pick(0, 4, generator) == 0 else depth
    masks = ((target > 0) & (field[:, 0] > 0.5)).float()
    mirrored = torch.rand(n, generator=generator) < 0.5
    images[mirrored], masks[mirrored] = images[mirrored].flip(-1), masks[mirrored].flip(-1)
    return images, masks


def _arcades(disc: Tensor, zoom: float, size: int, generator: Generator) -> Tensor:
    """Depth [n,S,S] in vessels that leave discs [n,2] in all directions and bend to the macula on the right."""
    roots = pick(4, 8, generator)
    growth = Growth(roots, pick(3, 4, generator), 0.009 * zoom, 0.74, 0.32 * zoom, 0.5, 0.6, 0.7)
    fan = uniform(0, 2 * math.pi, (len(disc), 1), generator) + torch.arange(roots) * 2 * math.pi / roots
    start = ((disc + 1) / 2)[:, None].expand(-1, roots, -1)
    return tree_depth(start, fan + uniform(-0.4, 0.4, fan.shape, generator), growth, size, generator)


def _fundus(disc: Tensor, disc_depth: Tensor, zoom: float, generator: Generator) -> Tensor:
    """The retina behind the vessels [n,3,S,S]: a bright disc, a dark macula, spots."""
    n, size = len(disc), disc_depth.shape[-1]
    macula = disc + zoom * torch.stack([torch.full((n,), 0.05), uniform(0.5, 0.75, (n,), generator)], 1)
    distance = (coordinates(size)[None] - macula[:, :, None, None]).square().sum(1, keepdim=True)
    pit = torch.exp(-distance / (0.25 * zoom) ** 2)
    base = torch.tensor([0.78, 0.42, 0.2]).view(1, 3, 1, 1) * uniform(0.75, 1.2, (1, 3, 1, 1), generator)
    images = base * (1 + 0.12 * ground(n, size, generator) - between(0.1, 0.5, generator) * pit)
    glow = (between(4, 12, generator) * disc_depth).sigmoid()[:, None] * between(0.4, 1.0, generator)
    return _spots(torch.lerp(images, torch.tensor([1.0, 0.85, 0.55]).view(1, 3, 1, 1), glow), generator)


def angiogram(n: int, size: int, generator: Generator) -> Task:
    """X-ray angiograms: contrast-filled vessels or the catheter, on the shadows of spine, ribs and diaphragm."""
    tip = uniform(0.15, 0.55, (n, 1, 2), generator)
    depth = _coronary(tip, size, generator)
    wire = Growth(1, 0, between(0.009, 0.018, generator), 1.0, 1.0, 0.5, 0.0)
    catheter = tree_depth(tip + 0.02, uniform(-2.6, -1.6, (n, 1), generator), wire, size, generator)
    shadow = 0.65 + 0.1 * ground(n, size, generator, 1.2) - 0.12 * _bands(n, size, generator)
    dye = between(0.25, 0.7, generator) * (depth.clamp(min=0) / (0.012 * size)).sqrt().clamp(max=1.3)[:, None]
    light = shadow * (1 - dye * _opacity(depth, generator)) * (1 - 0.35 * _opacity(catheter, generator))
    target = catheter if pick(0, 4, generator) == 0 else depth
    return light.expand(-1, 3, -1, -1), (target > 0).float()


def _coronary(tip: Tensor, size: int, generator: Generator) -> Tensor:
    """Depth [n,S,S] in winding vessels that start at the tips of catheters [n,1,2]."""
    growth = Growth(
        roots=pick(1, 3, generator),
        generations=pick(2, 4, generator),
        width=between(0.01, 0.03, generator),
        taper=between(0.65, 0.85, generator),
        length=between(0.25, 0.5, generator),
        wind=between(0.3, 1.2, generator),
        spread=between(0.4, 1.0, generator),
    )
    heading = between(0, 2 * math.pi, generator) + uniform(-1.2, 1.2, (len(tip), growth.roots), generator)
    return tree_depth(tip.expand(-1, growth.roots, -1), heading, growth, size, generator)


def fibres(n: int, size: int, generator: Generator) -> Task:
    """Confocal and fluorescence microscopy of nerve fibres: long bright threads in one direction, among short cells."""
    width = between(0.004, 0.014, generator)
    growth = Growth(pick(3, 12, generator), pick(0, 1, generator), width, 0.7, 1.3, between(0.1, 0.8, generator), 0.4)
    heading = between(0, 2 * math.pi, generator) + uniform(-0.25, 0.25, (n, growth.roots), generator)
    along = torch.stack([heading.sin(), heading.cos()], -1)
    start = uniform(-0.2, 1.2, (n, growth.roots, 2), generator) - 0.6 * along
    depth = tree_depth(start, heading, growth, size, generator)
    stub = Growth(pick(2, 14, generator), 1, 1.6 * width, 0.7, 0.06, 0.5, 1.0)
    cells = tree_depth(
        uniform(0, 1, (n, stub.roots, 2), generator), uniform(0, 6.3, (n, stub.roots), generator), stub, size, generator
    )
    beads = (1 + 0.35 * smooth_noise((n, 1), size, 24, generator)).clamp(0.2, 1.6)
    light = 0.18 + 0.07 * ground(n, size, generator, 0.8)
    light = light + between(0.2, 0.7, generator) * beads * _opacity(depth, generator)
    light = light + 0.5 * _opacity(cells, generator)
    tint = _tint(generator)
    target = cells if pick(0, 4, generator) == 0 else depth
    return light * tint, (target > 0).float()


def cracks(n: int, size: int, generator: Generator) -> Task:
    """Cracks and fissures: jagged dark lines of changing width in a rough, stained surface."""
    growth = Growth(
        pick(1, 3, generator),
        pick(1, 3, generator),
        between(0.004, 0.015, generator),
        0.75,
        between(0.4, 0.9, generator),
        between(0.4, 1.4, generator),
        0.9,
    )
    start = uniform(0, 1, (n, growth.roots, 2), generator)
    heading = torch.atan2(*(0.5 - start).unbind(-1)) + uniform(-0.7, 0.7, (n, growth.roots), generator)
    depth = tree_depth(start, heading, growth, size, generator)
    depth = depth + 0.3 * smooth_noise((n, 1), size, min(64, size // 3), generator)[:, 0]
    base = uniform(0.35, 0.8, (1, 1, 1, 1), generator) * uniform(0.85, 1.1, (1, 3, 1, 1), generator)
    surface = base * (1 + 0.18 * ground(n, size, generator, between(0.1, 0.9, generator)))
    dark = between(0.35, 0.9, generator)
    return surface * (1 - dark * _opacity(depth, generator)), (depth > 0).float()


def wires(n: int, size: int, generator: Generator) -> Task:
    """Guide wires, catheters, leads and needles in fluoroscopy and endoscopy: smooth lines of even width."""
    growth = Growth(
        pick(1, 3, generator),
        0,
        between(0.006, 0.022, generator),
        1.0,
        1.2,
        between(0, 1.2, generator),
        0.0,
    )
    start = uniform(0, 1, (n, growth.roots, 2), generator)
    start[..., 1] = -0.05
    heading = uniform(-0.6, 0.6, (n, growth.roots), generator)
    depth = tree_depth(start, heading, growth, size, generator)
    scene = 0.5 + 0.16 * ground(n, size, generator, 0.9) + 0.15 * _bands(n, size, generator)
    tone = float(torch.randint(0, 2, (1,), generator=generator)) * 0.9
    opacity = _opacity(depth, generator) * between(0.3, 0.9, generator)
    if pick(0, 1, generator):
        depth, opacity = depth.transpose(-1, -2), opacity.transpose(-1, -2)
    images = torch.lerp(scene, torch.full_like(scene, tone), opacity)
    return images * uniform(0.7, 1.1, (1, 3, 1, 1), generator), (depth > 0).float()


def _opacity(depth: Tensor, generator: Generator) -> Tensor:
    """How far a curve covers each pixel [n,1,S,S], of a faintness that varies along it."""
    cover = (depth + 0.5).clamp(0, 1)[:, None]
    patchy = smooth_noise((len(depth), 1), depth.shape[-1], 5, generator) * between(0, 0.25, generator)
    return cover * (1 - patchy.abs()).clamp(0.3, 1)


def _spots(images: Tensor, generator: Generator) -> Tensor:
    """Exudates and haemorrhages in some pictures [n,3,S,S]."""
    n, size = len(images), images.shape[-1]
    rough = smooth_noise((n, 1), size, pick(14, 40, generator), generator)
    rare = smooth_noise((n, 1), size, 3, generator) - uniform(0.5, 4.0, (n, 1, 1, 1), generator)
    bright, dark = ((4 * rare).sigmoid() * (4 * (sign * rough - 1.6)).clamp(0, 1) for sign in (1, -1))
    return (images * (1 - 0.5 * dark)).lerp(torch.tensor([0.95, 0.85, 0.5]).view(1, 3, 1, 1), 0.7 * bright)


def _bands(n: int, size: int, generator: Generator) -> Tensor:
    """Broad soft bands [n,1,S,S] that fade in and out, the shadows of ribs, spine and diaphragm."""
    y, x = coordinates(size)
    turn = between(0, math.pi, generator) + uniform(-0.3, 0.3, (n, 1, 1), generator)
    across, along = y * turn.cos() + x * turn.sin(), x * turn.cos() - y * turn.sin()
    bent = across + uniform(-0.3, 0.3, (n, 1, 1), generator) * along**2
    wave = (bent * uniform(3, 9, (n, 1, 1), generator) + uniform(0, 6, (n, 1, 1), generator)).sin()
    fading = smooth_noise((n, 1), size, 2, generator)[:, 0].clamp(0, 1.5)
    return ((3 * wave).sigmoid() * fading)[:, None]


def _tint(generator: Generator) -> Tensor:
    """Grey, or one colour of fluorescence [1,3,1,1]."""
    if pick(0, 1, generator):
        return torch.ones(1, 3, 1, 1)
    return uniform(0.1, 1.2, (1, 3, 1, 1), generator)
