"""The command line: thin commands over `medtap.workflows`."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Annotated, Any

import typer

from medtap import cli_options as o
from medtap.defaults import NETWORK
from medtap.errors import MedtapError
from medtap.late_imports import SparedImports

app = typer.Typer(
    help="Few-shot medical image segmentation that adapts to your images in seconds.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command()
def adapt(
    support_images: o.SupportImages,
    out: o.Out,
    support_masks: o.SupportMasks = None,
    network: o.Network = NETWORK,
    method: o.Method = None,
    rank: o.Rank = None,
    preset: o.Preset = "medtap",
    passes: o.Passes = None,
    learning_rate: o.LearningRate = None,
    loss: o.Loss = None,
    schedule: o.Schedule = None,
    augment: o.Augment = None,
    disagreement: o.Disagreement = None,
    rates: o.Rates = None,
    average: o.Average = None,
    patience: o.Patience = None,
    guard: o.Guard = None,
    closing: o.Closing = None,
    shots: o.Shots = 5,
    lacking: o.Lacking = 0,
    size: o.Size = None,
    seed: o.Seed = 0,
    device: o.Device = "auto",
    classes: o.Classes = None,
    layout: o.Layout = None,
    axis: o.Axis = "axial",
    mask_threshold: o.MaskThreshold = None,
    overwrite: o.Overwrite = False,
) -> None:
    """Adapt a network to a few annotated images."""
    from medtap import console, workflows
    from medtap.presets import use_preset

    tap: dict[str, Any] = {"passes": passes, "learning_rate": learning_rate, "loss": loss, "schedule": schedule}
    tap |= {"augment": augment, "disagreement": disagreement, "rates": rates, "average": average, "patience": patience}
    tap |= {"guard": guard, "closing": closing, "seed": seed}
    adapter, options = use_preset(preset, method, {"rank": rank}, **tap)
    support: dict[str, Any] = {
        "layout": layout,
        "axis": axis,
        "mask_threshold": mask_threshold,
        "classes": console.names(classes),
        "lacking": lacking,
    }
    run: dict[str, Any] = {"network": network, "adapter": adapter, "options": options, "shots": shots, "device": device}
    run |= {"size": size}
    adapted = workflows.adapt(support_images, support_masks, out, overwrite=overwrite, **run, **support)
    console.show_adaptation(adapted, out)


@app.command()
def predict(
    adapter: o.AdapterFolder,
    images: o.Images,
    out: o.Out,
    layout: o.Layout = None,
    device: o.Device = "auto",
    batch_size: o.BatchSize = None,
    compile_network: o.Compile = False,
    clean: o.Clean = "none",
    flips: o.Flips = "none",
    subsets: o.Subsets = 0,
    self_support: o.SelfSupport = False,
    query_size: o.QuerySize = None,
    presence: o.Presence = True,
    overwrite: o.Overwrite = False,
) -> None:
    """Segment new images with an adapted network; masks keep the images' own formats and grids."""
    from medtap import console, workflows

    run: dict[str, Any] = {
        "device": device,
        "batch_size": batch_size,
        "compile_network": compile_network,
        "clean": clean,
        "flips": flips,
        "subsets": subsets,
        "self_support": self_support,
        "query_size": query_size,
        "presence": presence,
        "overwrite": overwrite,
        "progress": console.progress,
    }
    outcome = workflows.predict(adapter, images, out, layout=layout, **run)
    console.show_outcome(outcome, out)
    raise typer.Exit(outcome.exit_code)


@app.command()
def evaluate(
    adapter: o.AdapterFolder,
    images: o.Images,
    out: o.Out,
    masks: o.Masks = None,
    layout: o.Layout = None,
    mask_threshold: o.MaskThreshold = None,
    device: o.Device = "auto",
    batch_size: o.BatchSize = None,
    compile_network: o.Compile = False,
    clean: o.Clean = "none",
    flips: o.Flips = "none",
    subsets: o.Subsets = 0,
    self_support: o.SelfSupport = False,
    query_size: o.QuerySize = None,
    presence: o.Presence = True,
    overwrite: o.Overwrite = False,
) -> None:
    """Score an adapted network on annotated images that it has not learnt from."""
    from medtap import console, workflows

    run: dict[str, Any] = {
        "device": device,
        "batch_size": batch_size,
        "compile_network": compile_network,
        "clean": clean,
        "flips": flips,
        "subsets": subsets,
        "self_support": self_support,
        "query_size": query_size,
        "presence": presence,
        "overwrite": overwrite,
        "progress": console.progress,
    }
    data_layout: dict[str, Any] = {"layout": layout, "mask_threshold": mask_threshold}
    metrics, outcome = workflows.evaluate(adapter, images, masks, out, **data_layout, **run)
    console.show_scores(metrics)
    console.show_outcome(outcome, out)
    raise typer.Exit(outcome.exit_code)


@app.command()
def demo(
    out: o.Out = Path("runs/demo"), seed: o.Seed = 0, device: o.Device = "auto", overwrite: o.Overwrite = False
) -> None:
    """Do the whole job on generated images: adapt to five, segment and score the others."""
    from medtap import console
    from medtap.workflows.demo import run_demo

    adapted, metrics, outcome = run_demo(out, seed=seed, device=device, overwrite=overwrite, progress=console.progress)
    console.show_adaptation(adapted, out / "adapter")
    console.show_scores(metrics)
    console.show_outcome(outcome, out)
    raise typer.Exit(outcome.exit_code)


@app.command()
def benchmark(
    config: Annotated[Path, typer.Argument(help="A YAML of configs/benchmark.")],
    out: o.Out,
    data: Annotated[Path | None, typer.Option(help="The data, where the benchmark is run on some.")] = None,
    shots: Annotated[int | None, typer.Option(help="Annotated images an episode; the configuration's if not.")] = None,
    episodes: Annotated[int | None, typer.Option(help="How many episodes; the configuration's if not given.")] = None,
    network: Annotated[str | None, typer.Option(help="The network, or a folder; the configuration's if not.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu or cuda; the configuration's if not given.")] = None,
    seed: o.Seed = 0,
    overwrite: o.Overwrite = False,
) -> None:
    """Measure cost or accuracy as a configuration says."""
    from medtap import console
    from medtap.benchmarks import run_benchmark

    asked: dict[str, Any] = {"data": data, "shots": shots, "episodes": episodes, "network": network, "device": device}
    results = run_benchmark(config, out, seed=seed, overwrite=overwrite, say=console.say, **asked)
    console.show_benchmark(results, out)


@app.command()
def pretrain(
    config: Annotated[Path, typer.Argument(help="A recipe, such as configs/pretrain/atto.yaml.")],
    out: Annotated[Path, typer.Option(help="The folder for checkpoints and weights; a half-done run goes on.")] = Path(
        "runs/pretrain"
    ),
    seed: Annotated[int | None, typer.Option(help="Replaces the recipe's seed.")] = None,
) -> None:
    """Meta-train a network on generated, natural, Pascal or COCO episodes; under torchrun on several processes."""
    from medtap import console
    from medtap.pretraining.recipe import pretrain as run
    from medtap.pretraining.recipe import read_recipe

    recipe = read_recipe(config, {} if seed is None else {"seed": seed})
    console.say(f"weights in {run(recipe, out, config.name)}")


@app.command()
def info(what: Annotated[str, typer.Argument(help="networks, methods, layouts, or the folder of an adapter.")]) -> None:
    """Tell what there is: networks, methods, layouts, or what an adapter was made from."""
    from medtap import console
    from medtap.workflows.info import describe

    console.show_info(describe(what))


@app.command()
def convert(
    network: Annotated[
        str,
        typer.Option(help="dcama, hsnet, patnet, dmtnet, pfenet, bam, bam-ensemble, ssp or affinity."),
    ],
    backbone: Annotated[str, typer.Option(help="What it was trained on: swin-b, resnet50 or dilated-resnet50.")],
    checkpoint: Annotated[Path, typer.Option(help="Its authors' file, which you have downloaded.")],
    out: o.Out,
    overwrite: o.Overwrite = False,
) -> None:
    """Bring a published checkpoint into the form that --network takes."""
    from medtap import console
    from medtap.workflows.convert import convert as run

    converted = run(network, backbone, checkpoint, out, overwrite=overwrite)
    console.say(f"{converted.name} in {out}")


def main() -> None:
    """Run the command line; what a user gave wrong ends with one message and exit code 2."""
    warnings.filterwarnings("ignore", category=FutureWarning)
    sys.meta_path.insert(0, SparedImports())
    try:
        app()
    except MedtapError as error:
        typer.secho(f"error: {error}", fg="red", err=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
