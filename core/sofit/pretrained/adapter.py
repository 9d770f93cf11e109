"""Writing a LoRA adapter as PEFT stores it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sofit.pretrained.writing import write_json, write_safetensors, written_whole


@dataclass(frozen=True, kw_only=True)
class PeftSettings:
    """What adapter_config.json says of a LoRA adapter."""

    base_model: str
    """The name on the Hub, or the folder, of the model that the adapter belongs to."""
    r: int
    alpha: float
    dropout: float
    rslora: bool
    target_modules: Sequence[str]
    """The linear layers that have an adapter, such as "q_proj"."""


def save_peft_adapter(folder: Path, settings: PeftSettings, tensors: Mapping[str, np.ndarray]) -> None:
    """Writes a LoRA adapter so that PEFT loads the folder.

    tensors: "model.layers.0.self_attn.q_proj.lora_A.weight" (r, in) and "….lora_B.weight" (out, r) of every layer. A folder of
    that name is replaced, once the new one is whole.
    """
    alpha = settings.alpha
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": settings.base_model,
        "r": settings.r,
        "lora_alpha": int(alpha) if alpha == int(alpha) else alpha,
        "lora_dropout": settings.dropout,
        "use_rslora": settings.rslora,
        "target_modules": sorted(settings.target_modules),
        "bias": "none",
        "inference_mode": True,
    }
    with written_whole(folder) as partial:
        write_json(partial / "adapter_config.json", config)
        # PEFT's names start at its own wrapper, which holds the language model as `base_model.model`.
        write_safetensors(partial / "adapter_model.safetensors", {f"base_model.model.{name}": tensors[name] for name in tensors})
