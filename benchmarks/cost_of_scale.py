"""What a training step costs as rows, shared prefix, model and devices grow: measured here, and modelled for a cluster.

    python benchmarks/cost_of_scale.py measure --data ../shared/data/viggo
    python benchmarks/cost_of_scale.py measure --data ../shared/data/viggo --vary devices
    python benchmarks/cost_of_scale.py model --data ../shared/data/viggo --model llama-2-7b/

`measure` takes steps of models with random weights. One quantity is varied at a time, from 16 rows behind 1,024 tokens,
SmolLM2-135M's sizes, and one device. "expected" is the time that the operations take at the rate of that first setting, so a
ratio above 1 is a cost that the operations do not explain. Devices are simulated ones that share the processor's cores, so
with them a step cannot get faster; what it gets slower by is the cost of the mesh.

`model` lays the first batches out for so many devices, and divides: operations by the rate of all devices, and what FSDP moves
by the rate of a device's link. Each pass over a micro-batch gathers the weights twice, forwards and backwards, and where they are
trained their gradients are scattered once. A step takes the longer of the two where they overlap, and their sum where not.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import mean, median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sofit.model import DecoderConfig, LoraSpec
    from sofit.packing import BatchShape
    from sofit.supervision import Supervised

BYTES = 2
"""Of a number that is moved: bfloat16."""


@dataclass(frozen=True)
class Accelerator:
    """A device as its vendor describes it."""

    name: str
    flops_per_second: float
    """In bfloat16."""
    link: float
    """Bytes a second from a device to those of other machines (GPU, 400 Gbit/s each) or its neighbours (TPU)."""


ACCELERATORS = (
    Accelerator("H100", 989e12, 50e9),
    Accelerator("TPU v5e", 197e12, 200e9),
    Accelerator("TPU v5p", 459e12, 600e9),
)


@dataclass(frozen=True)
class Setting:
    """A step that is measured."""

    rows: int = 16
    prefix: int = 1024
    model: str = "135M"
    devices: int = 1


SIZES = {"45M": (576, 1536, 9, 3, 5), "135M": (576, 1536, 9, 3, 30), "362M": (960, 2560, 15, 5, 32)}
"""embed, mlp, heads, key/value heads and layers: those of SmolLM2-135M, a sixth of its layers, and SmolLM2-360M."""
VARIED = {
    "rows": [Setting(rows=rows) for rows in (4, 16, 64)],
    "prefix": [Setting(prefix=length) for length in (0, 256, 1024, 2048)],
    "model": [Setting(model=name) for name in SIZES],
    "devices": [Setting(devices=count) for count in (1, 2, 4, 8)],
}


def viggo_rows(data: str | None, count: int) -> list["Supervised"]:
    """Returns the first training rows of ViGGO, with the long prompt."""
    from sofit import load_plugins
    from sofit.config_loading import load_config
    from sofit.evaluate import load_examples
    from sofit.pretrained import load_pretrained
    from sofit.supervision import supervise

    config = load_config(None, [], {"task": "viggo", "data": data})
    task, tokenizer = load_plugins().make_task(config), load_pretrained("smollm2-135m").tokenizer
    return supervise(task, load_examples(task, "train", count), tokenizer, config.trainer.max_length)


def with_prefix(rows: Sequence["Supervised"], length: int) -> list["Supervised"]:
    """Returns the rows behind a prefix of `length` tokens in place of the one that they share."""
    import numpy as np

    from sofit.prefix import group_by_prefix

    (group,) = group_by_prefix([row.ids for row in rows], [row.prompt_length - 1 for row in rows])
    prefix = np.resize(rows[0].ids[: group.prefix_length], length)
    changed = length - group.prefix_length
    return [
        replace(row, ids=np.concatenate([prefix, row.ids[group.prefix_length :]]), prompt_length=row.prompt_length + changed)
        for row in rows
    ]


def measure(setting: Setting, method: str, rows: Sequence["Supervised"], repeats: int) -> tuple[float, int]:
    """Returns the median time of a step, and its operations."""
    import jax

    from sofit.config import OptimizerConfig, TrainerConfig
    from sofit.feed import arrays_of
    from sofit.flops import flops_per_step
    from sofit.jax_settings import apply_jax_settings
    from sofit.mesh import make_partitioning
    from sofit.model import Decoder, DecoderConfig, LoraSpec, add_adapters
    from sofit.optimizer import make_optimizer, make_schedule
    from sofit.packing import Packer
    from sofit.precision import Precision
    from sofit.pretrained import outline_pretrained
    from sofit.trainer import Trainer

    apply_jax_settings()
    embed, mlp, heads, kv_heads, layers = SIZES[setting.model]
    known = DecoderConfig.from_hf(outline_pretrained("smollm2-135m").config)
    config = replace(known, embed_size=embed, mlp_size=mlp, num_heads=heads, num_kv_heads=kv_heads, num_layers=layers)
    partitioning = make_partitioning(TrainerConfig(), config, jax.devices()[: setting.devices])
    model = replace(Decoder.init(config, key=jax.random.key(0)), partitioning=partitioning)
    model = model if partitioning is None else partitioning.place_parameters(model)
    lora = LoraSpec(rank=8, alpha=8.0) if method == "lora" else None
    model = model if lora is None else add_adapters(model, lora, key=jax.random.key(1))
    optimizer = make_optimizer(OptimizerConfig(), make_schedule(OptimizerConfig(), 1e-4, 100))
    trainer, state = Trainer.start(model, optimizer, Precision(), adapters_only=lora is not None)
    budget = TrainerConfig().micro_batch_tokens * setting.devices
    batch = with_prefix(rows[: setting.rows], setting.prefix)
    micro_batches = Packer([batch], share_prefix=True, micro_batch_tokens=budget, row_multiple=setting.devices).pack(batch)
    arrays, tokens = arrays_of(micro_batches), sum(row.completion_length for row in batch)
    seconds = []
    for number in range(repeats + 1):
        start = time.perf_counter()
        state, loss, _ = trainer.step(state, arrays, tokens, jax.random.key(number))
        jax.block_until_ready((jax.tree.leaves(state), loss))
        seconds.append(time.perf_counter() - start)
    return median(seconds[1:]), flops_per_step(config, [micro.shape for micro in micro_batches], lora)


def print_measured(arguments: argparse.Namespace) -> None:
    """Prints a table for each quantity."""
    for varied in arguments.vary:
        print(f"\n{varied:>8} {'seconds':>8} {'TFLOP':>7} {'examples/s':>10} {'expected':>8} {'ratio':>6}", flush=True)
        settings = VARIED[varied]
        first = settings.index(Setting())
        found = {setting: in_own_process(setting, arguments) for setting in settings[first:] + settings[:first]}
        seconds, flops = found[Setting()]
        for setting in settings:
            took, needed = found[setting]
            expected = seconds * needed / flops
            figures = f"{took:8.2f} {needed / 1e12:7.3f} {setting.rows / took:10.3g} {expected:8.2f} {took / expected:6.2f}"
            print(f"{getattr(setting, varied):>8} {figures}", flush=True)


def in_own_process(setting: Setting, arguments: argparse.Namespace) -> tuple[float, int]:
    """Measures a setting where its devices can be simulated, and nothing is left over from another."""
    environment = {**os.environ, "XLA_FLAGS": f"--xla_force_host_platform_device_count={setting.devices}"}
    values = [str(value) for value in (setting.rows, setting.prefix, setting.model, setting.devices)]
    data = ["--data", arguments.data] if arguments.data else []
    command = [sys.executable, __file__, "one", *values, "--method", arguments.method, "--repeats", str(arguments.repeats), *data]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    seconds, flops = done.stdout.split()[-2:]
    return float(seconds), int(flops)


def print_one(arguments: argparse.Namespace) -> None:
    """Measures one setting, for `in_own_process`."""
    setting = Setting(arguments.rows, arguments.prefix, arguments.size, arguments.devices)
    rows = viggo_rows(arguments.data, setting.rows)
    print(*measure(setting, arguments.method, rows, arguments.repeats))


@dataclass(frozen=True)
class Cost:
    """A step on a cluster."""

    tokens: float
    flops: float
    moved: float
    """Bytes that each device receives."""

    def seconds(self, accelerator: Accelerator, devices: int, share: float) -> tuple[float, float]:
        """Returns what it takes to compute and to move, where a device reaches a `share` of its peak."""
        return self.flops / (devices * accelerator.flops_per_second * share), self.moved / accelerator.link


def modelled(
    config: "DecoderConfig", lora: "LoraSpec | None", parameters: int, steps: Sequence[Sequence["BatchShape"]], devices: int
) -> Cost:
    """Counts what a step needs under FSDP over so many devices; the means over `steps`."""
    from sofit.flops import flops_per_step

    transfers = 2 if lora is not None else 3
    passes = mean(map(len, steps))
    return Cost(
        tokens=mean(sum(shape.tokens for shape in shapes) for shapes in steps),
        flops=mean(flops_per_step(config, shapes, lora) for shapes in steps),
        moved=passes * transfers * parameters * BYTES * (devices - 1) / devices,
    )


def print_modelled(arguments: argparse.Namespace) -> None:
    """Prints how long a step takes on clusters."""
    import jax

    from sofit.config import TrainerConfig
    from sofit.feed import Feed
    from sofit.model import Decoder, DecoderConfig, LoraSpec, decoder_template
    from sofit.pretrained import outline_pretrained
    from sofit.training_examples import LoadedSource

    config = DecoderConfig.from_hf(outline_pretrained(arguments.model).config)
    template: Decoder = decoder_template(config)
    parameters = sum(leaf.size for leaf in jax.tree.leaves(template))
    lora = LoraSpec(rank=8, alpha=8.0) if arguments.method == "lora" else None
    rows, count = viggo_rows(arguments.data, 4 * max(arguments.batch)), 4
    print(f"{arguments.model}, {parameters / 1e9:.2f}e9 parameters, {arguments.method}; a device reaches {arguments.share:.0%}")
    print(f"{'devices':>7} {'batch':>6} {'sharing':>7} {'tokens':>9} {'TFLOP':>8}  seconds to compute / to move")
    for devices in arguments.devices:
        for batch in arguments.batch:
            for share_prefix in (True, False):
                settings = TrainerConfig(train_batch_size=batch, share_prefix=share_prefix)
                with Feed(LoadedSource(rows), settings, count, row_multiple=devices) as feed:
                    steps = [[micro.shape for micro in feed.micro_batches(step)] for step in range(1, count + 1)]
                cost = modelled(config, lora, parameters, steps, devices)
                times = (accelerator_time(cost, accelerator, devices, arguments.share) for accelerator in ACCELERATORS)
                sharing = "on" if share_prefix else "off"
                print(f"{devices:7} {batch:6} {sharing:>7} {cost.tokens:9,.0f} {cost.flops / 1e12:8,.0f}  {'; '.join(times)}")


def accelerator_time(cost: Cost, accelerator: Accelerator, devices: int, share: float) -> str:
    """Returns both times, for the table."""
    compute, move = cost.seconds(accelerator, devices, share)
    return f"{accelerator.name} {compute:.2f} / {move:.2f}"


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    measuring, one, modelling = (commands.add_parser(name) for name in ("measure", "one", "model"))
    for command in (measuring, one, modelling):
        command.add_argument("--data", help="what `sofit train --task viggo --data` takes; the demo by default")
        command.add_argument("--method", choices=["lora", "full"], default="lora")
    measuring.add_argument("--vary", nargs="+", choices=VARIED, default=list(VARIED))
    for command in (measuring, one):
        command.add_argument("--repeats", type=int, default=3, help="steps of each setting, besides the first; the median counts")
    for name, kind in (("rows", int), ("prefix", int), ("size", str), ("devices", int)):
        one.add_argument(name, type=kind)
    modelling.add_argument("--model", required=True, help="a folder with a config.json, or what `sofit train --model` takes")
    modelling.add_argument("--devices", nargs="+", type=int, default=[8, 32, 128, 256])
    modelling.add_argument("--batch", nargs="+", type=int, default=[128, 1024])
    modelling.add_argument("--share", type=float, default=0.4, help="of the vendor's peak that a device reaches")
    measuring.set_defaults(run=print_measured)
    one.set_defaults(run=print_one)
    modelling.set_defaults(run=print_modelled)
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    from sofit.errors import SofitError

    try:
        main()
    except SofitError as error:
        sys.exit(str(error))
