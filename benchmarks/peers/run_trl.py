"""TRL's SFTTrainer, with PEFT for LoRA."""

import tempfile
import time
from typing import Any

from job import Job, Record

job = Job.from_arguments()

import datasets
import peft
import torch
import transformers
import trl

rows = job.examples()
mask = [[0] * row["prompt_length"] + [1] * (len(row["ids"]) - row["prompt_length"]) for row in rows]
data = datasets.Dataset.from_dict({"input_ids": [row["ids"] for row in rows], "completion_mask": mask})
record = Record(job, {module.__name__: module.__version__ for module in (torch, transformers, trl, peft)})
settings = trl.SFTConfig(
    output_dir=tempfile.mkdtemp(),
    use_cpu=not torch.cuda.is_available(),
    bf16=job.precision == "bfloat16",
    per_device_train_batch_size=job.micro,
    gradient_accumulation_steps=job.batch // job.micro,
    max_steps=job.steps,
    learning_rate=job.learning_rate,
    lr_scheduler_type="constant",
    warmup_steps=0,
    weight_decay=0.0,
    max_grad_norm=1.0,
    logging_steps=1,
    save_strategy="no",
    report_to="none",
    max_length=job.length,
    completion_only_loss=True,
    gradient_checkpointing=False,
    disable_tqdm=True,
)
adapters = None
if job.method == "lora":
    adapters = peft.LoraConfig(r=job.rank, lora_alpha=job.alpha, target_modules="all-linear", task_type="CAUSAL_LM")
tokens = 0


class Timer(transformers.TrainerCallback):
    """Tells the record of each step."""

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        global tokens
        tokens, self.start = 0, time.perf_counter()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.seconds = time.perf_counter() - self.start

    def on_log(self, *_: Any, logs: dict[str, float], **__: Any) -> None:
        if "loss" in logs:
            record.step(self.seconds, float(logs["loss"]), tokens)


class InOrder(trl.SFTTrainer):
    """Takes the rows in their order, and counts the tokens that it computes."""

    def _get_train_sampler(self, *_: Any, **__: Any) -> Any:
        return torch.utils.data.SequentialSampler(self.train_dataset)

    def training_step(self, model: Any, inputs: Any, *rest: Any, **named: Any) -> Any:
        global tokens
        tokens += inputs["input_ids"].numel()
        return super().training_step(model, inputs, *rest, **named)


model = transformers.AutoModelForCausalLM.from_pretrained(job.model, dtype=torch.float32, attn_implementation="sdpa")
tokenizer = transformers.AutoTokenizer.from_pretrained(job.model)
InOrder(
    model=model, args=settings, train_dataset=data, processing_class=tokenizer, peft_config=adapters, callbacks=[Timer()]
).train()
