"""The bundles, and workflows of their configs that are cheap enough for tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from monai.bundle import ConfigWorkflow

ROOT = Path(__file__).parents[2]
BUNDLES = sorted(path.parents[1] for path in (ROOT / "bundles").glob("*/configs/make_model.json"))


FEW = {"shots": 2, "passes": 1, "seed": 3}


@pytest.fixture(params=BUNDLES, ids=lambda path: path.name)
def bundle(request) -> Path:
    """Each bundle's folder."""
    return request.param


@pytest.fixture
def workflow(bundle) -> Callable[..., ConfigWorkflow]:
    """A function (config, **overrides) -> a workflow that is initialised and not run."""

    def make(config: str, **overrides) -> ConfigWorkflow:
        file, overrides = (
            bundle / "configs" / f"{config}.json",
            {"device": "cpu", "bundle_root": str(bundle)} | overrides,
        )
        kind = "inference" if config == "inference" else "evaluation"
        made = ConfigWorkflow(str(file), workflow_type=kind, logging_file=False, **overrides)
        made.initialize()
        return made

    return make


@pytest.fixture
def support(lesions) -> dict[str, object]:
    """Overrides that adapt to two of the generated images in one pass."""
    images, masks = lesions
    return {"support_images": str(images), "support_masks": str(masks), "classes": "spot", **FEW}
