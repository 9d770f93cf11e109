"""A program that plans the memory of steps, takes them, and prints both peaks in bytes: planned, and of the process."""

import gc
import sys
from pathlib import Path

import jax

from sofit.batches import to_arrays
from sofit.config import Config
from sofit.config_loading import load_config
from sofit.model import Decoder, DecoderConfig
from sofit.optimizer import make_schedule
from sofit.packing import BatchShape, MicroBatch
from sofit.plan.memory import step_memory
from sofit.plan.plan import describe_start
from sofit.start import start_trainer

MODEL = DecoderConfig.from_hf(
    {
        "model_type": "llama",
        "vocab_size": 4096,
        "hidden_size": 256,
        "intermediate_size": 688,
        "num_hidden_layers": 8,
        "num_attention_heads": 4,
    }
)
SHAPE = BatchShape(rows=2, prefix_length=256, slots=2, slot_length=128, targets=128)
MICRO_BATCHES = 2


def take_steps(config: Config) -> None:
    """Takes two steps from fresh weights."""
    schedule = make_schedule(config.optimizer, 1e-4, 10)
    trainer, state = start_trainer(config, Decoder.init(MODEL, key=jax.random.key(0)), schedule)
    for step in range(2):
        batches = [to_arrays(MicroBatch((), SHAPE)) for _ in range(MICRO_BATCHES)]
        state, loss, _ = trainer.step(state, batches, 1, jax.random.key(step))
        loss.block_until_ready()


def resident_bytes(entry: str) -> int:
    """Returns a size of this process that the kernel keeps: VmRSS now, VmHWM at most."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(entry))


def main(method: str) -> None:
    """Prints the planned peak and the measured one."""
    settings = ["optimizer.learning_rate=1e-4", "trainer.num_train_steps=10"]
    config = load_config(None, settings, method="lora" if method == "lora" else "full")
    planned = step_memory(*describe_start(config, MODEL), [SHAPE], is_accumulated=MICRO_BATCHES > 1)
    take_steps(config)  # Compiles, and warms up what JAX keeps for itself.
    gc.collect()
    baseline = resident_bytes("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # Starts VmHWM anew.
    take_steps(config)
    sys.stdout.write(f"{planned.peak} {resident_bytes('VmHWM') - baseline}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
