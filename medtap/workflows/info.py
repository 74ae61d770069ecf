"""What there is to choose from, and what an adapter was made from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import nn

from medtap.adapters import ADAPTERS, Adapter
from medtap.datasets import LAYOUTS
from medtap.errors import OptionError
from medtap.networks.origin import origin_of
from medtap.networks.segmenter import FewShotSegmenter
from medtap.networks.zoo import BUILDERS, EMBEDDED, WEIGHTS_FILE
from medtap.record import AdaptationRecord
from medtap.workflows.convert import file_sha256

Row = dict[str, Any]
Found: TypeAlias = dict[tuple[str, frozenset[str]], bool]
"""Whether a method finds something to change in a part of such layers."""

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
    found: Found = {}
    for name, build in BUILDERS.items():
        told, embedded = origin_of(build), EMBEDDED / name / WEIGHTS_FILE
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
            "weights_sha256": file_sha256(embedded) if embedded.is_file() else told.weights_sha256,
            "adapters": ", ".join(_fitting(network, found)),
        }


def _fitting(network: FewShotSegmenter, found: Found) -> Iterator[str]:
    """The methods that fit a network of shapes alone; what is found out holds for every part of the same layers."""
    for method, build in ADAPTERS.items():
        adapter = build()
        part = adapter.part(network)
        key = method, _layers_of(part)
        if key not in found:
            found[key] = _attaches(adapter, part)
        if found[key]:
            yield method


def _layers_of(part: nn.Module) -> frozenset[str]:
    """A part's own name and its layers, each by its name without numbers, its type and its kernel."""
    layers = {type(part).__name__}
    for name, layer in part.named_modules():
        shape = (layer.kernel_size, layer.groups > 1, layer.padding_mode) if isinstance(layer, nn.Conv2d) else ()
        layers.add(f"{name.rpartition('.')[2].strip('0123456789')} {type(layer).__name__} {shape}")
    return frozenset(layers)


def _attaches(adapter: Adapter, part: nn.Module) -> bool:
    """Whether an adapter finds something to change in a part of shapes alone, which it leaves as it was."""
    try:
        adapter.attach(part).detach()
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
