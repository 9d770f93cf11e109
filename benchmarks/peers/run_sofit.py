"""sofit's own trainer, as `sofit train` drives it."""

import time
from dataclasses import replace

from job import Job, Record

job = Job.from_arguments()

import equinox as eqx
import haliax as hax
import jax
import numpy as np

from sofit.attention_choice import choose_attention
from sofit.batches import to_arrays
from sofit.config import OptimizerConfig, TrainerConfig
from sofit.feed import arrays_of
from sofit.jax_settings import apply_jax_settings
from sofit.labels import Labels
from sofit.loading import load_decoder
from sofit.loss import completion_losses
from sofit.model import Decoder, LoraSpec, add_adapters, with_remat
from sofit.optimizer import make_optimizer, make_schedule
from sofit.packing import MicroBatch, Packer
from sofit.precision import parse_precision
from sofit.pretrained import load_pretrained
from sofit.supervision import Supervised
from sofit.task import Example
from sofit.trainer import Trainer

_NOTHING = Example(id="", input="", target="")


def batches() -> list[list[Supervised]]:
    """Returns the examples of each step."""
    rows = [_supervised(row["ids"], row["prompt_length"]) for row in job.examples()]
    return [rows[first : first + job.batch] for first in range(0, len(rows), job.batch)]


def _supervised(ids: list[int], prompt_length: int) -> Supervised:
    completion = len(ids) - prompt_length
    labels = Labels(np.zeros(completion, np.uint8), np.ones(completion, bool))
    return Supervised(_NOTHING, np.array(ids, np.int32), prompt_length, labels)


def losses_by_example(model: Decoder, micro_batches: list[MicroBatch], batch: list[Supervised]) -> list[tuple[float, int]]:
    """Returns the sum of the losses and the completion tokens of each example: trainers differ in how they average."""
    found: dict[int, tuple[float, int]] = {}
    for micro in micro_batches:
        losses = eqx.filter_jit(completion_losses)(model, to_arrays(micro)).array
        for row, of_row in zip(micro.rows, np.asarray(losses), strict=False):
            start = 0
            for example in (example for slot in row.slots for example in slot):
                end = start + example.completion_length
                found[id(example)] = float(of_row[start:end].sum()), example.completion_length
                start = end
    return [found[id(example)] for example in batch]


apply_jax_settings()
record = Record(job, {"jax": jax.__version__, "haliax": getattr(hax, "__version__", "")})
config = OptimizerConfig(lr_schedule="constant", warmup=0, beta2=0.999)
optimizer = make_optimizer(config, make_schedule(config, job.learning_rate, job.steps))
model = load_decoder(load_pretrained(job.model))
if job.method == "lora":
    model = add_adapters(model, LoraSpec(job.rank, job.alpha), key=jax.random.key(0))
model = with_remat(model, job.remat)
precision = parse_precision(f"p=f32,c={job.precision}")
model = replace(model, attend=choose_attention("auto", model.config, precision.compute, None))
trainer, state = Trainer.start(model, optimizer, precision, adapters_only=job.method == "lora")
del model
steps = batches()
packer = Packer(steps, share_prefix=True, micro_batch_tokens=TrainerConfig().micro_batch_tokens)
for number, batch in enumerate(steps):
    start = time.perf_counter()
    micro_batches = packer.pack(batch)
    completion_tokens = sum(example.completion_length for example in batch)
    state, loss, _ = trainer.step(state, arrays_of(micro_batches), completion_tokens, jax.random.key(number))
    loss = float(loss.sum())
    jax.block_until_ready(jax.tree.leaves(state))
    record.step(time.perf_counter() - start, loss, sum(micro.shape.tokens for micro in micro_batches))
if job.precision == "float32":
    # The peak of training is recorded; what follows is to compare losses.
    peak = record.entry()["peak_memory_bytes"]
    fresh = load_decoder(load_pretrained(job.model), precision.compute)
    record.more = {
        "peak_memory_bytes": peak,
        "losses_by_example": losses_by_example(fresh, packer.pack(steps[0]), steps[0]),
    }
    record.write()
