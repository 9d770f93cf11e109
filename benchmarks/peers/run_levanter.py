"""Levanter's Trainer, LoRA and loss, through its library, as its own scripts call them."""

import dataclasses
import importlib.metadata
import tempfile
import time
from pathlib import Path
from typing import Any

from job import Job, Record

job = Job.from_arguments()

import equinox as eqx
import haliax as hax
import jax
import jax.numpy as jnp
import jmp
import numpy as np
from levanter.layers.attention import AttentionMask
from levanter.lora import LoraConfig, LowRankLinear, lora_trainable_params_filter, loraize
from levanter.models.llama import LlamaConfig
from levanter.models.lm_model import LmExample, compute_next_token_loss
from levanter.optim import AdamConfig
from levanter.tracker import NoopConfig
from levanter.trainer import Trainer, TrainerConfig

record = Record(job, {name: importlib.metadata.version(name) for name in ("levanter", "haliax", "jax")})
config = TrainerConfig(
    id="benchmark",
    tracker=NoopConfig(),
    log_dir=Path(tempfile.mkdtemp()),
    mp=jmp.get_policy(f"p=f32,c={job.precision}"),
    train_batch_size=job.batch,
    per_device_parallelism=job.micro,
    num_train_steps=job.steps,
    require_accelerator=False,
    load_checkpoint=False,
    log_jaxprs=False,
    log_xla_hlo=False,
)
if hasattr(config, "ray"):
    config = dataclasses.replace(config, ray=dataclasses.replace(config.ray, auto_start_cluster=False))
config.initialize()
# Not HFCheckpointConverter.from_hf, which asks the Hub on its way through the registry of models.
converter = LlamaConfig().hf_checkpoint_converter(ref_checkpoint=job.model)
sizes = {"seq_len": job.length, "gradient_checkpointing": False, "flash_attention_block_size": job.length // 2}
model_config = dataclasses.replace(converter.default_config, **sizes)
optimizer = AdamConfig(
    learning_rate=job.learning_rate, weight_decay=0.0, beta2=0.999, warmup=0, lr_schedule="constant", max_grad_norm=1.0
).build(job.steps)
ids, masks = (np.array(part, np.int32) for part in job.padded(0))
# Levanter's mask stands on the position that predicts the token.
masks = np.concatenate([masks[:, 1:], np.zeros_like(masks[:, :1])], axis=1).astype(np.float32)


def batch(step: int) -> LmExample:
    part, axes = slice(step * job.batch, (step + 1) * job.batch), (config.TrainBatch, model_config.Pos)
    tokens, mask = hax.named(jnp.asarray(ids[part]), axes), hax.named(jnp.asarray(masks[part]), axes)
    return LmExample(tokens=tokens, loss_mask=mask, attn_mask=AttentionMask.causal())


def with_zero_up(node: Any) -> Any:
    """Makes a fresh adapter change nothing: Levanter draws both factors at random."""
    return eqx.tree_at(lambda n: n.lora_B.weight, node, replace_fn=lambda w: w * 0) if isinstance(node, LowRankLinear) else node


with Trainer(config, optimizer, loss_fn=compute_next_token_loss, add_default_hooks=False) as trainer:
    lora_key, state_key = jax.random.split(jax.random.PRNGKey(0))
    mapping = trainer.parameter_axis_mapping
    model = converter.load_pretrained(model_config.model_type, config=model_config, axis_mapping=mapping, dtype=jnp.float32)
    trainable: dict[str, Any] = {}
    if job.method == "lora":
        spec = LoraConfig(r=job.rank, alpha=job.alpha)
        model = hax.named_jit(lambda m: loraize(m, spec, key=lora_key), axis_resources=mapping)(model)
        model = jax.tree_util.tree_map(with_zero_up, model, is_leaf=lambda node: isinstance(node, LowRankLinear))
        trainable["is_trainable"] = lora_trainable_params_filter(model)
    state = trainer.initial_state(state_key, model=model, **trainable)
    del model
    for step in range(job.steps):
        start = time.perf_counter()
        info = trainer.train_step(state, batch(step))
        loss, state = float(info.loss), info.state
        jax.block_until_ready(jax.tree_util.tree_leaves(eqx.filter(state.trainable_model, eqx.is_array)))
        record.step(time.perf_counter() - start, loss, job.batch * job.length)
