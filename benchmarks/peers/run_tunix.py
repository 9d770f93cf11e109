"""Tunix' PeftTrainer with its Llama 3 model, and qwix for LoRA."""

import functools
import importlib.metadata
import json
import time
from pathlib import Path
from typing import Any

from job import Job, Record

job = Job.from_arguments()

import jax
import jax.numpy as jnp
import numpy as np
import optax
import qwix
from flax import nnx
from tunix.models.llama3 import model as llama
from tunix.models.llama3 import params
from tunix.sft import peft_trainer
from tunix.sft import utils as sft_utils

if job.precision != "float32":
    raise SystemExit("Tunix has one type for parameters and computing, so it cannot compute in bfloat16 on float32 parameters.")
record = Record(job, {name: importlib.metadata.version(name) for name in ("google-tunix", "qwix", "jax")})
of_model = json.loads((Path(job.model) / "config.json").read_text())
theta = of_model.get("rope_theta") or of_model["rope_parameters"]["rope_theta"]
# Tunix computes rotations with a theta of its own, whatever its config says.
llama.apply_rope = functools.partial(llama.apply_rope, rope_theta=int(theta))
config = llama.ModelConfig(
    num_layers=of_model["num_hidden_layers"],
    vocab_size=of_model["vocab_size"],
    embed_dim=of_model["hidden_size"],
    hidden_dim=of_model["intermediate_size"],
    num_heads=of_model["num_attention_heads"],
    head_dim=of_model.get("head_dim") or of_model["hidden_size"] // of_model["num_attention_heads"],
    num_kv_heads=of_model["num_key_value_heads"],
    rope_theta=int(theta),
    norm_eps=of_model["rms_norm_eps"],
    weight_tying=of_model["tie_word_embeddings"],
    remat_config=llama.RematConfig.NONE,
)
ids, masks = (np.array(part, np.int32) for part in job.padded(0))
real = np.arange(job.length)[None, :] < np.array([len(row["ids"]) for row in job.examples()])[:, None]
parts = job.batch // job.micro
losses: list[float] = []
begun = 0.0


def model_input(batch: Any) -> dict[str, Any]:
    """Its own recipe takes one mask for both padding and loss."""
    return {
        "input_tokens": batch["input_tokens"],
        "input_mask": batch["loss_mask"],
        "positions": sft_utils.build_positions_from_mask(batch["real"]),
        "attention_mask": sft_utils.make_causal_attn_mask(batch["real"]),
    }


class Timed:
    """Its compiled pass over a micro-batch; the trainer's own hooks come a step late."""

    def __init__(self, run: Any, parameters: Any):
        self._run, self._parameters, self.func = run, parameters, run.func

    def __call__(self, batch: Any) -> Any:
        global begun
        if not losses:
            begun = time.perf_counter()
        out = self._run(batch)
        losses.append(float(out[0]))
        jax.block_until_ready(jax.tree.leaves(self._parameters()))
        if len(losses) == parts:
            record.step(time.perf_counter() - begun, float(np.mean(losses)), job.batch * job.length)
            losses.clear()
        return out


with jax.make_mesh((1, 1), ("fsdp", "tp"), axis_types=(jax.sharding.AxisType.Auto,) * 2) as mesh:
    model = params.create_model_from_safe_tensors(job.model, config, mesh, dtype=jnp.float32)
    kind = nnx.Param
    if job.method == "lora":
        layers = ".*(q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj)"
        provider = qwix.LoraProvider(module_path=layers, rank=job.rank, alpha=job.alpha)
        model, kind = qwix.apply_lora_to_model(model, provider, **model.get_model_input()), nnx.LoRAParam
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(job.learning_rate, weight_decay=0.0))
    settings = peft_trainer.TrainingConfig(
        eval_every_n_steps=10**9,
        max_steps=job.steps,
        gradient_accumulation_steps=parts if parts > 1 else None,
        max_inflight_computations=1,
    )
    trainer = peft_trainer.PeftTrainer(model, optimizer, settings).with_gen_model_input_fn(model_input)
    compile_steps = trainer.jit_train_and_eval_step

    def timed(*arguments: Any, **named: Any) -> Any:
        """Wraps what the trainer compiles."""
        train, evaluate = compile_steps(*arguments, **named)
        return Timed(train, lambda: nnx.state(trainer.model, kind)), evaluate

    trainer.jit_train_and_eval_step = timed
    firsts = range(0, len(ids), job.micro)
    trainer.train(
        [
            {
                "input_tokens": ids[first : first + job.micro],
                "loss_mask": masks[first : first + job.micro].astype(np.float32),
                "real": real[first : first + job.micro],
            }
            for first in firsts
        ]
    )
