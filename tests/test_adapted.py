"""AdaptedSegmenter: one image in, logits out; saved, loaded, exported."""

from __future__ import annotations

import io
import json
import pickle
from dataclasses import replace
from pathlib import Path

import onnx
import pytest
import torch
from safetensors.torch import load_file, save_file

from medtap.adaptation import TapOptions, take_a_peek
from medtap.adapted import DIGEST, FILES, TENSORS, AdaptedSegmenter, load_adapted
from medtap.adapters import Lora
from medtap.errors import OutputError, WeightsError
from medtap.networks import BUILDERS, save_network
from medtap.networks.zoo import load_network
from medtap.record import MANIFEST
from tests.tiny import as_torchscript, random_images, support_set, tiny_network


def adapt(shots: int = 3, classes: int = 1, **options: object) -> AdaptedSegmenter:
    taken = TapOptions(passes=2, learning_rate=1e-2, **options)
    return take_a_peek(tiny_network(), support_set(shots, classes), Lora(rank=4), taken)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A folder with an adaptation of the tiny network."""
    return adapt().save(tmp_path / "adapted")


def logits(network: AdaptedSegmenter, height: int = 64, width: int | None = None) -> torch.Tensor:
    with torch.no_grad():
        return network(random_images(2, height, width, seed=9))


@pytest.mark.parametrize(("shots", "classes"), [(1, 1), (5, 3), (15, 1)])
def test_saved_and_loaded_is_exactly_the_same(tmp_path: Path, shots: int, classes: int) -> None:
    network = adapt(shots, classes)
    folder = network.save(tmp_path / "new" / "folder")
    loaded = load_adapted(folder, tiny_network())
    assert torch.equal(logits(loaded), logits(network))
    assert loaded.classes == network.classes
    assert loaded.size == network.size == 64
    assert loaded.state_dict().keys() == network.state_dict().keys()
    again = loaded.save(tmp_path / "again")
    assert (again / TENSORS).read_bytes() == (folder / TENSORS).read_bytes()
    assert (again / MANIFEST).read_bytes() == (folder / MANIFEST).read_bytes()


def test_base_network_is_found_by_the_manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BUILDERS, "tiny", tiny_network)
    save_network(tiny_network(), tmp_path / "base", {})
    network = take_a_peek(load_network(tmp_path / "base"), support_set(3), Lora(rank=4), TapOptions(passes=1))
    loaded = load_adapted(network.save(tmp_path / "adapted"))
    assert torch.equal(logits(loaded), logits(network))


def test_base_network_given_to_load_stays_as_it_is(saved: Path) -> None:
    network = tiny_network()
    load_adapted(saved, network)
    expected = tiny_network().state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in network.state_dict().items())


def test_no_image_is_saved(saved: Path) -> None:
    adapter, digest = (load_file(saved / name) for name in (TENSORS, DIGEST))
    assert len([name for name in adapter if name.startswith("adapter.")]) == len(adapter) == 16
    assert len([name for name in digest if name.startswith("memory.")]) == len(digest) == 8
    assert not any(tensor.shape[-2:] == (64, 64) for tensor in digest.values())


def test_saving_again_replaces(saved: Path) -> None:
    adapt(seed=1).save(saved)
    assert torch.equal(logits(load_adapted(saved, tiny_network())), logits(adapt(seed=1)))
    assert sorted(path.name for path in saved.iterdir()) == sorted(FILES)


def test_other_base_weights_are_refused(saved: Path) -> None:
    with pytest.raises(WeightsError, match=r"the adapter belongs to other base weights; expected tiny .*; found tiny"):
        load_adapted(saved, tiny_network(seed=1))


def test_another_network_is_refused(saved: Path) -> None:
    other = tiny_network()
    other.name = "other"
    with pytest.raises(WeightsError, match=r"the adapter belongs to other base weights.*found other"):
        load_adapted(saved, other)


@pytest.mark.parametrize("name", [TENSORS, DIGEST])
@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.999])
def test_truncated_file_is_refused(saved: Path, share: float, name: str) -> None:
    content = (saved / name).read_bytes()
    (saved / name).write_bytes(content[: int(share * len(content))])
    with pytest.raises(WeightsError, match="the weights cannot be read; expected a safetensors file"):
        load_adapted(saved, tiny_network())


@pytest.mark.parametrize("name", [TENSORS, DIGEST])
def test_file_with_one_bit_changed_is_refused(saved: Path, name: str) -> None:
    content = bytearray((saved / name).read_bytes())
    content[-1] ^= 1
    (saved / name).write_bytes(content)
    expected = "the adapter is not the one that its manifest describes; expected adapter.safetensors and support"
    with pytest.raises(WeightsError, match=expected):
        load_adapted(saved, tiny_network())


def test_pickle_is_never_read(saved: Path) -> None:
    (saved / TENSORS).write_bytes(pickle.dumps({"adapter": 1}))
    with pytest.raises(WeightsError, match="the weights cannot be read"):
        load_adapted(saved, tiny_network())


@pytest.mark.parametrize("name", [TENSORS, DIGEST])
def test_missing_file_is_refused(saved: Path, name: str) -> None:
    (saved / name).unlink()
    with pytest.raises(WeightsError, match=f"{name}: the weights are missing"):
        load_adapted(saved, tiny_network())


def test_missing_manifest_is_refused(saved: Path) -> None:
    (saved / MANIFEST).unlink()
    with pytest.raises(WeightsError, match=r"no adaptation can be read here.*found no file"):
        load_adapted(saved, tiny_network())


def test_adapter_of_another_support_set_is_refused(saved: Path, tmp_path: Path) -> None:
    other = adapt(seed=1).save(tmp_path / "other")
    (saved / TENSORS).write_bytes((other / TENSORS).read_bytes())
    with pytest.raises(WeightsError, match="the adapter is not the one that its manifest describes"):
        load_adapted(saved, tiny_network())


def test_manifest_of_another_rank_is_refused(saved: Path) -> None:
    manifest = json.loads((saved / MANIFEST).read_text())
    manifest["adapter"]["rank"] = 2
    (saved / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(WeightsError, match="the LoRA factors do not fit the encoder"):
        load_adapted(saved, tiny_network())


def test_network_without_a_record_is_not_saved(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="a network without a record cannot be saved as an adapter"):
        AdaptedSegmenter.blank(tiny_network(), ("thing",)).save(tmp_path)


def test_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be written"):
        adapt().save(tmp_path / "file")


@pytest.mark.parametrize("shots", [1, 5, 15])
@pytest.mark.parametrize("classes", [1, 3])
def test_blank_takes_its_shots_from_what_is_loaded(shots: int, classes: int) -> None:
    network = adapt(shots, classes)
    blank = AdaptedSegmenter.blank(tiny_network(seed=1), network.classes)
    assert blank(random_images(1)).shape == (1, classes + 1, 64, 64)
    blank.load_state_dict(network.state_dict())
    assert torch.equal(logits(blank), logits(network))
    blank.load_state_dict(adapt(2, classes).state_dict())
    assert torch.equal(logits(blank), logits(adapt(2, classes)))


def test_blank_has_the_shots_asked_for() -> None:
    blank = AdaptedSegmenter.blank(tiny_network(), ("one", "two"), shots=4)
    assert all(kept.shape[:2] == (2, 4) for kept in blank.memory)


def test_loading_into_a_blank_leaves_its_base_network_alone() -> None:
    network = tiny_network(seed=1)
    AdaptedSegmenter.blank(network, ("class-1",)).load_state_dict(adapt().state_dict())
    expected = tiny_network(seed=1).state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in network.state_dict().items())


def test_blank_takes_half_precision_from_a_file() -> None:
    network, file = adapt(), io.BytesIO()
    torch.save({name: value.half() for name, value in network.state_dict().items()}, file)
    file.seek(0)
    blank = AdaptedSegmenter.blank(tiny_network(seed=1), network.classes)
    blank.load_state_dict(torch.load(file, weights_only=True))
    assert {value.dtype for value in blank.state_dict().values()} == {torch.float32}
    expected = network.half().float()
    assert torch.equal(logits(blank), logits(expected))


def test_blank_refuses_another_number_of_classes() -> None:
    blank = AdaptedSegmenter.blank(tiny_network(), ("one",))
    with pytest.raises(RuntimeError, match="size mismatch for memory_0"):
        blank.load_state_dict(adapt(3, 2).state_dict())


def test_blank_refuses_a_state_without_memory() -> None:
    state = {name: value for name, value in adapt().state_dict().items() if not name.startswith("memory")}
    with pytest.raises(RuntimeError, match="Missing key"):
        AdaptedSegmenter.blank(tiny_network(), ("one",)).load_state_dict(state)


@pytest.mark.parametrize(("height", "width"), [(64, 64), (96, 48), (67, 81)])
def test_images_of_any_size_and_batches_of_any_number(height: int, width: int) -> None:
    network = adapt(3, 2)
    at_once = logits(network, height, width)
    assert at_once.shape == (2, 3, height, width)
    with torch.no_grad():
        alone = torch.cat([network(image[None]) for image in random_images(2, height, width, seed=9)])
    torch.testing.assert_close(at_once, alone, atol=1e-5, rtol=1e-4)


def test_it_is_made_for_evaluation() -> None:
    network = adapt()
    assert not any(module.training for module in network.modules())
    assert not any(parameter.requires_grad for parameter in network.parameters())
    assert network.size == 64
    assert AdaptedSegmenter.blank(tiny_network(), ("one",)).size == 64


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
def test_torchscript_traces_it_for_any_batch() -> None:
    network = adapt(3, 2)
    traced = as_torchscript(network)
    with torch.no_grad():
        torch.testing.assert_close(traced(random_images(2, seed=9)), logits(network))


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
def test_onnx_exports_it() -> None:
    file = io.BytesIO()
    names = {"input_names": ["image"], "output_names": ["logits"]}
    torch.onnx.export(adapt(3, 2), (random_images(1),), file, dynamo=False, **names)
    model = onnx.load_from_string(file.getvalue())
    onnx.checker.check_model(model, full_check=True)
    (image,), (output,) = model.graph.input, model.graph.output
    assert [side.dim_value for side in image.type.tensor_type.shape.dim] == [1, 3, 64, 64]
    assert [side.dim_value for side in output.type.tensor_type.shape.dim] == [1, 3, 64, 64]


def test_memory_of_a_file_that_lacks_a_part_is_refused(saved: Path) -> None:
    tensors = load_file(saved / DIGEST)
    del tensors["memory.1"]
    save_file(tensors, saved / DIGEST)
    with pytest.raises(WeightsError, match="the adapter is not the one that its manifest describes"):
        load_adapted(saved, tiny_network())


def test_record_is_kept_through_save(saved: Path) -> None:
    loaded = load_adapted(saved, tiny_network())
    assert loaded.record is not None
    made = adapt().record
    assert replace(loaded.record, adapter_sha256="", cost={}) == replace(made, cost={}, losses=loaded.record.losses)
    assert loaded.record.losses == pytest.approx(made.losses, rel=1e-5)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_gpu_gives_the_cpu_s_logits(saved: Path) -> None:
    network = load_adapted(saved, tiny_network())
    expected = logits(network)
    with torch.no_grad():
        found = network.cuda()(random_images(2, seed=9).cuda()).cpu()
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=1e-3)


def test_loading_leaves_the_base_network_as_it_was() -> None:
    base = tiny_network()
    before = {name: value.clone() for name, value in base.state_dict().items()}
    adapted = take_a_peek(base, support_set(2), options=TapOptions(passes=1))
    adapted.load_state_dict({name: value + 1 for name, value in adapted.state_dict().items()})
    assert all(torch.equal(value, before[name]) for name, value in base.state_dict().items())
