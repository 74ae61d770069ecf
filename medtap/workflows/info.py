"""What there is to choose from, and what an adapter was made from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch

from medtap.adapters import ADAPTERS, Adapter
from medtap.datasets import LAYOUTS
from medtap.errors import OptionError
from medtap.networks.origin import origin_of
from medtap.networks.segmenter import FewShotSegmenter
from medtap.networks.zoo import BUILDERS
from medtap.record import AdaptationRecord

Row = dict[str, Any]
_TOLD = ("network", "base_sha256", "method", "adapter", "tap", "classes", "shots", "size", "axis", "support_sha256")


def describe(what: str) -> list[Row]:
    """Rows that tell of ``networks``, ``methods``, ``layouts``, or of the adapter in a folder.

    Raises:
        OptionError: it is neither of these words nor a folder.
        WeightsError: the folder holds no adapter.
    """
    tellers = {"networks": _networks, "methods": _methods, "layouts": _layouts}
    if what in tellers:
        return list(tellers[what]())
    if Path(what).is_dir():
        record = AdaptationRecord.read(Path(what)).as_json()
        return [{key: record[key] for key in _TOLD} | {"adapt_seconds": record["cost"].get("adapt_seconds")}]
    raise OptionError(f"nothing is known of {what!r}", expected=f"{', '.join(tellers)}, or an adapter's folder")


def _networks() -> Iterator[Row]:
    for name, build in BUILDERS.items():
        told = origin_of(build)
        with torch.device("meta"):  # shapes alone: no network is filled with numbers to be counted
            network = build()
        yield {
            "name": name,
            "description": _first_line(build),
            "encoder": told.encoder,
            "parameters": sum(parameter.numel() for parameter in network.parameters()),
            "encoder_parameters": sum(parameter.numel() for parameter in network.encoder.parameters()),
            "input_size": network.size,
            "code_licence": told.code,
            "weights": told.weights,
            "weights_licence": told.weights_licence,
            "adapters": ", ".join(method for method, adapter in ADAPTERS.items() if _fits(adapter(), network)),
        }


def _fits(adapter: Adapter, network: FewShotSegmenter) -> bool:
    """Whether an adapter finds something to change in a network of shapes alone, which it leaves as it was."""
    try:
        adapter.attach(adapter.part(network)).detach()
    except OptionError:
        return False
    except NotImplementedError:  # it found layers and would start from their numbers, as SVF does
        return True
    return True


def _methods() -> Iterator[Row]:
    for name, adapter in ADAPTERS.items():
        options = {field.name: field.default for field in fields(adapter)}  # type: ignore[arg-type]
        yield {"name": name, "description": _first_line(adapter), **options}


def _layouts() -> Iterator[Row]:
    for name, layout in LAYOUTS.items():
        yield {"name": name, "description": _first_line(layout.find)}


def _first_line(documented: object) -> str:
    return (documented.__doc__ or "").strip().splitlines()[0]
