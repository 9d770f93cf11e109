"""What a run gives away: the merged model for transformers, and the adapter for PEFT."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sofit.config import Config
from sofit.loading import load_decoder
from sofit.model import Decoder, adapter_tensors, merge_adapters, to_hf_tensors
from sofit.processes import is_main

if TYPE_CHECKING:
    from sofit.pretrained import Pretrained


def save_model(folder: Path, config: Config, pretrained: "Pretrained", trained: Decoder) -> None:
    """Writes `model/`, and for LoRA `adapter/`, into the run folder. All processes take part, and the main one writes.

    Args:
        folder: the run folder.
        config: the settings of the run.
        pretrained: what training started from; adapters are merged into its weights as they were stored, in float32.
        trained: the trained arrays: adapters alone, or the whole model.
    """
    from sofit.pretrained import PeftSettings, save_hf_model, save_peft_adapter

    model = trained
    if config.lora is not None:
        lora = config.lora
        settings = PeftSettings(
            base_model=pretrained.reference,
            r=lora.r,
            alpha=lora.alpha,
            dropout=lora.dropout,
            rslora=lora.rslora,
            target_modules=lora.target_modules,
        )
        tensors = dict(adapter_tensors(trained))
        if is_main():
            save_peft_adapter(folder / "adapter", settings, tensors)
        model = merge_adapters(load_decoder(pretrained, partitioning=trained.partitioning), trained)
    if is_main():
        save_hf_model(folder / "model", pretrained.config, _Tensors(model), pretrained.tokenizer)
    else:
        for _, make in to_hf_tensors(model):
            make()


class _Tensors(Mapping[str, np.ndarray]):
    """A model's tensors by their Hugging Face names, made when asked for."""

    def __init__(self, model: Decoder):
        self._makers = dict(to_hf_tensors(model))

    def __getitem__(self, name: str) -> np.ndarray:
        return self._makers[name]()

    def __iter__(self) -> Iterator[str]:
        return iter(self._makers)

    def __len__(self) -> int:
        return len(self._makers)
