"""How close training and decoding come to the machine: their rates beside that of plain matrix products, and where time goes.

    python benchmarks/roofline.py --data ../shared/data/viggo
    python benchmarks/roofline.py --data ../shared/data/viggo --method full --mp p=f32,c=bfloat16 --batch-size 128

The peak is the rate of products of the model's own sizes, through XLA, in the same type and process. Operations are those of
`sofit.flops`: what gradient checkpointing computes again is not counted, so it lowers the share. Each part is timed on its own,
forwards and backwards, at the shapes of the first step; "rest" is what the step takes beyond them.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from statistics import median
from typing import Any

import jax
import jax.numpy as jnp
from roofline_decoding import decoding_figures
from roofline_parts import part_seconds

from sofit import load_plugins
from sofit.attention_choice import choose_attention
from sofit.config import TrainerConfig
from sofit.config_loading import load_config
from sofit.evaluate import load_examples
from sofit.feed import arrays_of
from sofit.flops import flops_by_part, flops_per_step
from sofit.jax_settings import apply_jax_settings
from sofit.loading import load_decoder
from sofit.model import LoraSpec, add_adapters
from sofit.optimizer import make_optimizer, make_schedule
from sofit.packing import MicroBatch, Packer
from sofit.precision import parse_precision
from sofit.pretrained import load_pretrained
from sofit.supervision import Supervised, supervise
from sofit.trainer import Trainer, TrainState
from sofit.utilisation import gemm_peak


def seconds_of(function: Callable[[], Any], repeats: int) -> float:
    """Returns the median time of a function, after a call that compiles."""
    jax.block_until_ready(function())
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        jax.block_until_ready(function())
        times.append(time.perf_counter() - start)
    return median(times)


def start(arguments: argparse.Namespace) -> tuple[Trainer, TrainState, list[list[Supervised]], LoraSpec | None]:
    """Returns what `sofit train` has before its first step; the batches take the examples in the order of the file."""
    overrides = {"data": arguments.data, "model": arguments.model, "trainer.train_batch_size": arguments.batch_size}
    settings = [f"trainer.mp={arguments.mp}", *arguments.settings]
    config = load_config(arguments.config, settings, overrides, arguments.method)
    task = load_plugins(config.plugins).make_task(config)
    pretrained = load_pretrained(config.model)
    examples = load_examples(task, "train", arguments.batch_size * arguments.batches)
    supervised = supervise(task, examples, pretrained.tokenizer, config.trainer.max_length)
    model, lora = load_decoder(pretrained), None
    if config.lora is not None:
        lora = LoraSpec(config.lora.r, config.lora.alpha, target_modules=config.lora.target_modules)
        model = add_adapters(model, lora, key=jax.random.key(0))
    optimizer = make_optimizer(config.optimizer, make_schedule(config.optimizer, 1e-4, 100))
    precision = parse_precision(config.trainer.mp)
    model = replace(model, attend=choose_attention(config.trainer.attention, model.config, precision.compute, None))
    trainer, state = Trainer.start(model, optimizer, precision, adapters_only=lora is not None)
    firsts = range(0, len(supervised), arguments.batch_size)
    return trainer, state, [supervised[first : first + arguments.batch_size] for first in firsts], lora


def time_steps(
    trainer: Trainer, state: TrainState, micro_batches: Sequence[MicroBatch], repeats: int
) -> tuple[float, TrainState]:
    """Returns the median time of a step on the same batch, and the state after the last one."""
    arrays, now = arrays_of(micro_batches), state
    tokens = sum(
        example.completion_length for micro in micro_batches for row in micro.rows for slot in row.slots for example in slot
    )

    def step() -> jax.Array:
        nonlocal now
        now, loss, _ = trainer.step(now, arrays, tokens, jax.random.key(0))
        return loss

    return seconds_of(step, repeats), now


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="what `sofit train --data` takes")
    parser.add_argument("--model", default="smollm2-135m", help="what `sofit train --model` takes")
    parser.add_argument("--config", help="what `sofit train --config` takes")
    parser.add_argument("--set", dest="settings", action="append", default=[], help="what `sofit train --set` takes")
    parser.add_argument("--method", choices=["lora", "full"], help="by default what --config says, else lora")
    parser.add_argument("--mp", default="p=f32,c=f32", help="the precision (trainer.mp)")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--micro-batch-tokens", type=int, default=TrainerConfig().micro_batch_tokens)
    parser.add_argument("--no-sharing", action="store_true", help="compute each prompt for each example")
    parser.add_argument("--batches", type=int, default=32, help="how many batches are looked at to choose shapes")
    parser.add_argument("--repeats", type=int, default=3, help="of each measurement; the median counts")
    parser.add_argument("--lanes", type=int, default=32, help="outputs that are decoded together")
    parser.add_argument("--only", choices=["step", "parts", "decode"], action="append", help="leave out the other measurements")
    arguments = parser.parse_args()
    wanted = arguments.only or ["step", "parts", "decode"]
    apply_jax_settings()
    trainer, state, batches, lora = start(arguments)
    packer = Packer(batches, share_prefix=not arguments.no_sharing, micro_batch_tokens=arguments.micro_batch_tokens)
    config, dtype = state.trainable.config, trainer.precision.compute
    peak = gemm_peak(config, dtype, jax.devices()[:1])
    method = "full" if lora is None else "lora"
    print(f"jax {jax.__version__}, {jax.devices()[0].device_kind}, {arguments.model}, {method}, {arguments.mp}")
    print(f"peak of matrix products (2048 x {config.embed_size} x {config.mlp_size}, {dtype}): {peak / 1e9:.0f} GFLOP/s")
    began = time.perf_counter()
    micro_batches = packer.pack(batches[0])
    arrays_of(micro_batches)
    host = time.perf_counter() - began
    for micro in micro_batches:
        print(micro.shape)
    model = trainer.model(jax.tree.map(jnp.copy, state))
    step = 0.0
    if "step" in wanted:
        step, state = time_steps(trainer, state, micro_batches, arguments.repeats)
        count = flops_per_step(config, [micro.shape for micro in micro_batches], lora)
        peak = max(peak, gemm_peak(config, dtype, jax.devices()[:1]))
        rate = arguments.batch_size / step
        print(f"step: {step:.2f} s, {rate:.3g} examples/s, {count / 1e12:.3g} TFLOP, {count / step / peak:.0%} of the peak")
    if "parts" in wanted:
        print(f"\n{'part':32} {'seconds':>8} {'of step':>8} {'GFLOP':>8} {'of peak':>8}")
        seconds = {"batches on the host": host, **part_seconds(model, micro_batches[0], state, trainer, arguments.repeats)}
        counted = flops_by_part(config, micro_batches[0].shape, lora)
        if len(micro_batches) == 1 and step:
            seconds["rest"] = step - sum(seconds.values())
        for part, spent in seconds.items():
            of_step = f"{spent / step:8.1%}" if step else f"{'':8}"
            flops = f"{counted[part] / 1e9:8.1f} {counted[part] / spent / peak:8.0%}" if counted.get(part) else ""
            print(f"{part:32} {spent:8.3f} {of_step} {flops}")
    if "decode" in wanted:
        print(f"\n{decoding_figures(model, arguments.lanes, micro_batches[0].shape.prefix_length, peak, arguments.repeats)}")


if __name__ == "__main__":
    main()
