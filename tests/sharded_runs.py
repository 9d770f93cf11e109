"""Trains a tiny model over several meshes of simulated devices, in a process of its own, and prints what came out as JSON.

Called with a folder to write in, the method, and the names of the meshes to train on; the others are only loaded. XLA_FLAGS must
ask for 8 devices.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
from haliax import NamedArray
from safetensors.numpy import save_file
from token_examples import supervised, tokenized_prompt

from sofit.config import OptimizerConfig, TrainerConfig
from sofit.decoding.generator import GenerationSettings, generate
from sofit.feed import Feed, arrays_of
from sofit.mesh import make_partitioning
from sofit.model import Decoder, DecoderConfig, LoraSpec, add_adapters, from_hf_tensors, to_hf_tensors
from sofit.model.attention import Joined, Merged
from sofit.model.attention.flash import InKernels
from sofit.model.partitioning import bytes_on_each_device
from sofit.optimizer import make_optimizer, make_schedule
from sofit.precision import Precision
from sofit.pretrained.folder import SafetensorsFiles
from sofit.trainer import Trainer
from sofit.training_examples import LoadedSource

STEPS = 5
BOTH = ("mlp", "heads")
MESHES: Mapping[str, tuple[int, TrainerConfig]] = {
    "one device": (1, TrainerConfig()),
    "data parallel": (8, TrainerConfig(fsdp_axis=None)),
    "FSDP": (8, TrainerConfig()),
    "tensor parallel": (4, TrainerConfig(mesh={"model": 4}, tensor_parallel_axes=BOTH)),
    "FSDP and tensor parallel": (8, TrainerConfig(mesh={"data": -1, "model": 2}, tensor_parallel_axes=BOTH)),
    "attention in one call": (8, TrainerConfig(mesh={"data": -1, "model": 2}, tensor_parallel_axes=BOTH)),
    "attention in kernels": (8, TrainerConfig(mesh={"data": -1, "model": 2}, tensor_parallel_axes=BOTH)),
    # These are always loaded only.
    "FSDP on 2": (2, TrainerConfig()),
    "mlp alone": (4, TrainerConfig(mesh={"model": -1}, tensor_parallel_axes=("mlp",))),
    "data and tensor parallel": (8, TrainerConfig(mesh={"data": 2, "model": 4}, tensor_parallel_axes=BOTH, fsdp_axis=None)),
}
"""The devices and the settings of each run."""
TRAINED = (
    "one device",
    "data parallel",
    "FSDP",
    "tensor parallel",
    "FSDP and tensor parallel",
    "attention in one call",
    "attention in kernels",
)
GENERATING = ("one device", "tensor parallel", "FSDP and tensor parallel")

MODEL = DecoderConfig(
    model_type="llama",
    vocab_size=61,
    embed_size=64,
    mlp_size=96,
    num_layers=2,
    num_heads=8,
    num_kv_heads=4,
    head_size=8,
    rope_theta=1e4,
    norm_epsilon=1e-5,
    tied_head=False,
    qkv_bias=True,
    o_bias=False,
    mlp_bias=False,
    qk_norm=True,
    sliding_window=None,
    rope_scaling=None,
)


def main(folder: Path, method: str, trained: Sequence[str]) -> None:
    rng = np.random.default_rng(0)
    model = Decoder.init(MODEL, key=jax.random.key(0))
    tensors = {name: make() for name, make in to_hf_tensors(model)}
    save_file({name: rng.normal(size=t.shape).astype(np.float32) * 0.2 for name, t in tensors.items()}, folder / "m.safetensors")
    results = {name: run(SafetensorsFiles.of(folder), name, method, is_trained=name in trained) for name in MESHES}
    reference = results["one device"].pop("arrays", {})
    for name in trained[1:]:
        found = results[name].pop("arrays")
        results[name]["differences"] = {path: relative(found[path], reference[path]) for path in reference}
    json.dump(results, sys.stdout)


def run(tensors: SafetensorsFiles, name: str, method: str, *, is_trained: bool) -> dict[str, Any]:
    """Takes 5 steps, and writes a few outputs with what came out."""
    device_count, config = MESHES[name]
    partitioning = make_partitioning(config, MODEL, jax.devices()[:device_count])
    model = from_hf_tensors(MODEL, tensors, partitioning=partitioning)
    if name == "attention in one call":
        model = replace(model, attend=Joined("xla", partitioning))
    if name == "attention in kernels":
        model = replace(model, attend=Merged(InKernels(partitioning, interpret=True)))
    if method == "lora":
        model = add_adapters(model, LoraSpec(rank=4, alpha=8.0), key=jax.random.key(1))
    # Adam divides a gradient by its own size: with the usual epsilon, mere rounding would move a weight as far as another.
    settings = OptimizerConfig(epsilon=1e-6)
    optimizer = make_optimizer(settings, make_schedule(settings, 1e-3, STEPS))
    trainer, state = Trainer.start(model, optimizer, Precision(), adapters_only=method == "lora")
    loaded = {
        "shardings": {**specs(state), **specs(trainer.frozen)},
        "bytes": max(bytes_on_each_device((state, trainer.frozen)).values()),
    }
    if not is_trained:
        return loaded
    config = config.model_copy(update={"train_batch_size": 12})
    row_multiple = 1 if partitioning is None else partitioning.data_size
    feed = Feed(LoadedSource(examples()), config, STEPS, row_multiple=row_multiple)
    losses, rows, rows_on_a_device = [], set(), set()
    for step in range(1, STEPS + 1):
        micro_batches = arrays_of(feed.micro_batches(step))
        count = sum(example.completion_length for example in feed.examples(step))
        state, loss, norm = trainer.step(state, micro_batches, count, jax.random.key(step))
        losses.append([float(loss.sum()), float(norm)])
        for micro in micro_batches:
            tokens = micro.suffix.tokens
            rows.add(tokens.axis_size("row"))
            if partitioning is not None:
                rows_on_a_device.add(partitioning.of_activation(tokens.axes).shard_shape(tokens.array.shape)[0])
    outputs: Any = []
    if name in GENERATING and method == "lora":
        outputs, _ = generate(trainer.model(state), prompts(), GenerationSettings(12, batch_size=4), [3])
    arrays = {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(state.trainable)}
    return {
        **loaded,
        "losses": losses,
        "arrays": arrays,
        "shardings_after": {**specs(state), **specs(trainer.frozen)},
        "rows": sorted(rows),
        "rows_on_a_device": sorted(rows_on_a_device),
        "outputs": [list(output.ids) for output in outputs],
    }


def specs(tree: Any) -> dict[str, Any]:
    """Returns, for each array, the axes, their sizes, and the size of the part that a device holds."""
    found = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree, is_leaf=lambda node: isinstance(node, NamedArray)):
        if isinstance(leaf, NamedArray) and isinstance(leaf.array, jax.Array):
            part = leaf.array.sharding.shard_shape(leaf.array.shape)
            name = f"{type(tree).__name__}{jax.tree_util.keystr(path)}"
            found[name] = [[axis.name, axis.size, size] for axis, size in zip(leaf.axes, part, strict=True)]
    return found


def relative(found: np.ndarray, expected: np.ndarray) -> float:
    """Returns the norm of the difference over that of what is expected."""
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


def examples() -> list[Any]:
    """Returns examples of different lengths behind one prompt."""
    rng = np.random.default_rng(1)
    prompt = rng.integers(4, 61, 70)
    return [supervised([*prompt, *rng.integers(4, 61, index % 7 + 1)], [*rng.integers(4, 61, 4), 3]) for index in range(30)]


def prompts() -> list[Any]:
    """Returns more prompts than there are lanes, with a prefix in common."""
    return [tokenized_prompt(example.ids[: example.prompt_length]) for example in examples()[:10]]


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:])
