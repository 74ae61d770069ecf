"""The options that commands share, each with its one line of help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

SupportImages = Annotated[Path, typer.Option(help="Annotated images: a folder, a file, or a CSV with image,mask.")]
SupportMasks = Annotated[Path | None, typer.Option(help="Their masks: a folder or a file; not needed with a CSV.")]
Images = Annotated[Path, typer.Option(help="Images to segment: a folder (read recursively), a file, or a CSV.")]
Masks = Annotated[Path | None, typer.Option(help="The images' masks: a folder or a file; not needed with a CSV.")]
AdapterFolder = Annotated[Path, typer.Option("--adapter", help="The folder that `medtap adapt --out` wrote.")]
Out = Annotated[Path, typer.Option(help="The folder to write; it must be new, empty, or half of the same run.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what an earlier run wrote into --out.")]
Layout = Annotated[
    str | None, typer.Option(help="How the data is laid out: folder, isic2017, isic2018, chest_xray, decathlon.")
]
MaskThreshold = Annotated[
    float | None, typer.Option(help="Masks are grey and foreground is what lies above this value, such as 127.")
]
Axis = Annotated[str, typer.Option(help="The planes of volumes: axial, coronal or sagittal.")]
Classes = Annotated[str | None, typer.Option(help="Names of the labels 1, 2, ..., separated by commas.")]
Network = Annotated[str, typer.Option(help="The pretrained network: a name of `medtap info networks`, or a folder.")]
Method = Annotated[
    str | None,
    typer.Option(
        help="What is trained: a name of `medtap info methods`, or several joined by +; the preset's when not given."
    ),
]
Rank = Annotated[int | None, typer.Option(help="Rank of the adapter; the method's own when not given.")]
Preset = Annotated[
    str,
    typer.Option(
        help="How to adapt: medtap (LoRA in the encoder, in seconds), head (and the head, as fast), thorough (both, "
        "ten times as long, on views) or paper (plain Take a Peek, rank 64)."
    ),
]
Passes = Annotated[int | None, typer.Option(help="How often every support image is a pseudo-query; 0 does not adapt.")]
LearningRate = Annotated[float | None, typer.Option(help="AdamW's learning rate.")]
Loss = Annotated[str | None, typer.Option(help="dice_ce, or focal (the paper's, weighs rare classes up).")]
Schedule = Annotated[
    str | None,
    typer.Option(
        help="per_pass: one step a pass; per_group: one a group of 6 images; per_support: one an image (the paper's)."
    ),
]
Augment = Annotated[
    str | None,
    typer.Option(help="Views of the support images to train on: none, upright, mirrored, any (turned by any angle)."),
]
Rates = Annotated[str | None, typer.Option(help="learned: each layer at its own rate, learned by the network; even.")]
Average = Annotated[int | None, typer.Option(help="Average the adapter over so many last passes.")]
Patience = Annotated[
    int | None, typer.Option(help="Stop after so many passes without a lower loss; 0 runs all passes.")
]
Guard = Annotated[
    str | None,
    typer.Option(
        help="held_out: keep the network as it is, or double the change, where held-out support images ask for it, "
        "by probabilities; held_out_masks: by masks; none."
    ),
]
Closing = Annotated[
    int | None, typer.Option(help="Under a guard, passes over all support images after those over each half of them.")
]
Disagreement = Annotated[
    float | None,
    typer.Option(help="How far masks are redrawn in every pass as by other annotators, 0 (not at all) to 0.5."),
]
Shots = Annotated[int, typer.Option(help="How many annotated images to learn from.")]
Lacking = Annotated[
    int,
    typer.Option(help="So many images of empty masks, or planes without foreground, to learn to find nothing in."),
]
Seed = Annotated[int, typer.Option(help="Draws the support set and the adapter's initial values.")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
BatchSize = Annotated[
    int | None, typer.Option(help="Planes segmented at once; if not given, 8, or what a GPU's free memory holds.")
]
Compile = Annotated[bool, typer.Option("--compile", help="Compile the network first; pays over a long cohort.")]
Size = Annotated[int | None, typer.Option(help="Side in pixels of the network's input; its own when not given.")]
QuerySize = Annotated[
    int | None, typer.Option(help="Side in pixels that images are brought to; the support set's when not given.")
]
Flips = Annotated[
    str, typer.Option(help="Average with mirror images: none, horizontal (twice the time), both (four times).")
]
Subsets = Annotated[int, typer.Option(help="Average with so many subsets of the support set.")]
SelfSupport = Annotated[
    bool, typer.Option("--self-support", help="Segment each image twice, its own mask as one more shot.")
]
Presence = Annotated[
    bool, typer.Option(help="Leave a class out of planes that, as far as the support set can tell, do not show it.")
]
Clean = Annotated[
    str,
    typer.Option(help="Clean masks class by class: none, largest (piece alone), holes, both, auto (as support masks)."),
]
