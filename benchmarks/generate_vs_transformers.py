"""How fast evaluation is: the same rows, prompts and weights by sofit's generator and by transformers' `generate`.

    python benchmarks/generate_vs_transformers.py --data ../shared/data/viggo --model smollm2-135m

Both write greedily, in float32, at most the same number of tokens, from the same prompt tokens. transformers has batches of 16,
padded on the left, and its key-value cache. It may take only the first rows (--peer-rows): rows per second are compared, and its
batches have prompts of nearly one length, so that more of them take in proportion longer.

sofit is timed twice: in a first call, which compiles or reads what an earlier run compiled, and once more. transformers has one
short call before it is timed.
"""

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from evaluation_rows import EvaluationRows, describe, load_rows

from sofit.decoding.generator import generate
from sofit.decoding.outputs import Generated
from sofit.pretrained import save_hf_model


def by_sofit(rows: EvaluationRows) -> tuple[list[Generated], float]:
    """Returns the outputs, and the seconds that they took."""
    start = time.perf_counter()
    outputs, _ = generate(rows.model, rows.prompts, rows.settings, rows.pretrained.tokenizer.eos_ids)
    return outputs, time.perf_counter() - start


def by_transformers(rows: EvaluationRows, count: int, batch_size: int) -> tuple[list[Generated], float]:
    """Returns the outputs of the first rows, and the seconds that they took."""
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent) / "model"
        save_hf_model(folder, rows.pretrained.config, rows.pretrained.tensors, rows.pretrained.tokenizer)
        model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer, most = rows.pretrained.tokenizer, rows.settings.max_new_tokens

    def write(prompts: list[np.ndarray], most: int) -> list[list[int]]:
        length = max(map(len, prompts))
        ids, seen = np.full((2, len(prompts), length), tokenizer.pad_id, np.int64)
        seen[:] = 0
        for row, prompt in enumerate(prompts):
            ids[row, length - len(prompt) :], seen[row, length - len(prompt) :] = prompt, 1
        settings = {"max_new_tokens": most, "do_sample": False, "use_cache": True}
        ends = {"eos_token_id": list(tokenizer.eos_ids), "pad_token_id": tokenizer.pad_id}
        with torch.inference_mode():
            written = model.generate(torch.tensor(ids), attention_mask=torch.tensor(seen), **settings, **ends)
        return written[:, length:].tolist()

    prompts = [prompt.ids for prompt in rows.prompts[:count]]
    write([prompts[0][-8:]], 2)
    start = time.perf_counter()
    written = [row for first in range(0, count, batch_size) for row in write(prompts[first : first + batch_size], most)]
    seconds = time.perf_counter() - start
    return [_cut(row, tokenizer.eos_ids) for row in written], seconds


def _cut(written: list[int], eos_ids: tuple[int, ...]) -> Generated:
    """Ends an output at its end token; what follows pads the batch."""
    end = next((place for place, token in enumerate(written) if token in eos_ids), None)
    return Generated(tuple(written[:end]), finished=end is not None)


def main() -> None:
    """Prints the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="what `sofit eval --data` takes")
    parser.add_argument("--model", default="smollm2-135m", help="what `sofit eval --model` takes")
    parser.add_argument("--rows", type=int, default=256)
    parser.add_argument("--peer-rows", type=int, default=64, help="how many of them transformers takes")
    parser.add_argument("--batch-size", type=int, default=16, help="of transformers")
    parser.add_argument("--max-new-tokens", type=int, help="by default a little more than the longest target needs")
    arguments = parser.parse_args()
    rows = load_rows(arguments.model, arguments.data, arguments.rows, arguments.max_new_tokens)
    peer_rows = min(arguments.peer_rows, len(rows.prompts))
    print(describe(rows, arguments.model))
    outputs, first_seconds = by_sofit(rows)
    theirs, their_seconds = by_transformers(rows, peer_rows, arguments.batch_size)
    again, seconds = by_sofit(rows)
    assert again == outputs, "greedy outputs differ from run to run"
    their_rate = peer_rows / their_seconds
    print(f"{'':34} {'rows':>5} {'seconds':>8} {'rows/s':>7} {'ratio':>6}")
    print(f"{f'transformers, batches of {arguments.batch_size}':34} {peer_rows:5} {their_seconds:8.2f} {their_rate:7.2f}")
    for name, time_taken in (("sofit, first call", first_seconds), ("sofit", seconds)):
        rate = len(outputs) / time_taken
        print(f"{name:34} {len(outputs):5} {time_taken:8.2f} {rate:7.2f} {rate / their_rate:5.1f}x")
    if peer_rows < len(outputs):
        print(f"transformers wrote the first {peer_rows} rows only; the ratios are of rows per second.")
    same = sum(one == other for one, other in zip(outputs, theirs, strict=False))
    tokens = sum(len(output.ids) + output.finished for output in outputs)
    print(f"identical outputs: {same} of {peer_rows} ({same / peer_rows:.1%}); sofit wrote {tokens} tokens in all")


if __name__ == "__main__":
    main()
