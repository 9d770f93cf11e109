"""Filling the token cache ahead of the runs that use it."""

from collections.abc import Iterator
from itertools import islice

from sofit.config import Config
from sofit.data_check import checked_examples
from sofit.errors import SofitError
from sofit.plugins import Plugins
from sofit.supervision import tokenize_examples
from sofit.token_cache import SHARD_ROWS, TokenCache


def tokenize_data(config: Config, plugins: Plugins, *, allow_invalid: bool) -> Iterator[int]:
    """Checks and tokenises the training examples, a shard of the cache at a time; yields how many are done after each.

    Raises:
        SofitError: no cache is named, or it cannot be read or written, the data cannot be read, or an example cannot be trained
            on; names the first few.
    """
    from sofit.pretrained import load_tokenizer

    if config.data_cache_dir is None:
        raise SofitError("Say where to keep the tokens: --cache FOLDER, or the setting data_cache_dir.")
    task, tokenizer = plugins.make_task(config), load_tokenizer(config.model)
    cache = TokenCache(config.data_cache_dir, tokenizer.fingerprint)
    stream, done = iter(task.load("train")), 0
    while examples := list(islice(stream, SHARD_ROWS)):
        checked = checked_examples(task, examples, "train", allow_invalid=allow_invalid)
        tokenize_examples(task, checked, tokenizer, config.trainer.max_length, cache)
        done += len(checked)
        cache.check()
        yield done
    cache.flush()
    cache.check()
