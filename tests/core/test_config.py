"""Laws of the configuration: what loads, what is refused, and what the refusal says."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from sofit.config import Config, LoraConfig
from sofit.config_loading import load_config
from sofit.config_reference import as_yaml, keys
from sofit.errors import SofitError

Load = Callable[..., Config]

FULL = """\
data: "gs://levanter-data/fine-tuning/gem-viggo/GEM_viggo_train.jsonl"
data_cache_dir: "gs://levanter-data/tokenized/GEM_viggo_llama/"
trainer:
  wandb:
    project: levanter
    tags: ["viggo", "llama", "full-weight"]
  mp: p=f32,c=bfloat16
  train_batch_size: 128
  num_train_steps: 80
  tensor_parallel_axes: ["mlp", "heads"]
optimizer:
  learning_rate: 2E-5
"""

LORA = """\
data: "gs://levanter-data/fine-tuning/gem-viggo/GEM_viggo_train.jsonl"
data_cache_dir: "gs://levanter-data/tokenized/GEM_viggo_llama/"
trainer:
  wandb:
    project: levanter
    tags: ["viggo", "llama", "lora"]
  mp: p=f32,c=bfloat16
  train_batch_size: 128
  num_train_steps: 120
  tensor_parallel_axes: ["mlp", "heads"]
optimizer:
  learning_rate: 3e-4
lora:
  r: 8
  alpha: 8.0
  dropout: 0.0
"""


@pytest.fixture
def load(tmp_path: Path) -> Load:
    def load(text: str, *settings: str, **options: Any) -> Config:
        path = tmp_path / "settings.yaml"
        path.write_text(text, encoding="utf-8")
        return load_config(str(path), settings, **options)

    return load


def refusal(load: Load, *arguments: Any, **options: Any) -> str:
    """Returns the message with which a configuration is refused, without the folder of the file."""
    with pytest.raises(SofitError) as error:
        load(*arguments, **options)
    return re.sub(r"\S*/settings\.yaml", "settings.yaml", str(error.value))


def test_the_posts_full_configuration_loads_unchanged(load: Load):
    config = load(FULL)
    assert config.method == "full"
    assert config.data == "gs://levanter-data/fine-tuning/gem-viggo/GEM_viggo_train.jsonl"
    assert config.data_cache_dir == "gs://levanter-data/tokenized/GEM_viggo_llama/"
    assert config.trainer.wandb is not None
    assert (config.trainer.wandb.project, config.trainer.wandb.tags) == ("levanter", ("viggo", "llama", "full-weight"))
    assert (config.trainer.mp, config.trainer.tensor_parallel_axes) == ("p=f32,c=bfloat16", ("mlp", "heads"))
    assert (config.trainer.train_batch_size, config.trainer.num_train_steps) == (128, 80)
    assert config.optimizer.learning_rate == 2e-5


def test_the_posts_lora_configuration_loads_unchanged(load: Load):
    config = load(LORA)
    assert config.method == "lora"
    assert config.lora is not None
    assert (config.lora.r, config.lora.alpha, config.lora.dropout) == (8, 8.0, 0.0)
    assert (config.trainer.num_train_steps, config.optimizer.learning_rate) == (120, 3e-4)


def test_without_a_file_the_method_is_lora():
    assert load_config().method == "lora"
    assert load_config().lora == Config.model_validate({"lora": {}}).lora


def test_a_file_without_a_lora_section_means_full_fine_tuning(load: Load):
    assert load("task: viggo\n").method == "full"
    assert load("").method == "full"


def test_a_lora_section_with_nothing_in_it_has_its_defaults(load: Load):
    assert load("lora:\n").lora == load_config().lora
    assert load("lora: null\n").method == "full"


def test_the_method_overrides_the_file(load: Load):
    assert load(FULL, method="lora").method == "lora"
    assert load(LORA, method="full").method == "full"
    assert load(LORA.replace("r: 8", "r: 4"), method="lora").lora == LoraConfig(r=4)


def test_full_fine_tuning_with_a_setting_of_lora_is_refused(load: Load):
    assert "--set asks for lora.r" in refusal(load, LORA, "lora.r=4", method="full")


def test_a_setting_overrides_the_file_and_an_option_overrides_a_setting(load: Load):
    text = "trainer: {seed: 1, train_batch_size: 2}\n"
    assert load(text, "trainer.seed=3").trainer.seed == 3
    config = load(text, "trainer.seed=3", overrides={"trainer.seed": 5})
    assert (config.trainer.seed, config.trainer.train_batch_size) == (5, 2)


def test_a_setting_is_a_yaml_value():
    config = load_config(
        None,
        [
            "trainer.mesh={data: 2, model: 4}",
            "trainer.share_prefix=false",
            "trainer.wandb.tags=[a, b]",
            "evaluation.limit=null",
            "data=../data/viggo",
            "optimizer.learning_rate=1E-3",
        ],
    )
    assert config.trainer.mesh == {"data": 2, "model": 4}
    assert config.trainer.share_prefix is False
    assert config.trainer.wandb is not None
    assert config.trainer.wandb.tags == ("a", "b")
    assert (config.evaluation.limit, config.data, config.optimizer.learning_rate) == (None, "../data/viggo", 1e-3)


def test_a_setting_without_a_value_is_refused():
    assert "KEY=VALUE" in refusal(load_config, None, ["trainer.seed"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tusk: viggo", "settings.yaml:1: unknown key 'tusk'. Did you mean 'task'?"),
        (
            "trainer:\n  train_batchsize: 3",
            "settings.yaml:2: unknown key 'trainer.train_batchsize'. Did you mean 'train_batch_size'?",
        ),
        (
            "trainer:\n  wandb:\n    projekt: x",
            "settings.yaml:3: unknown key 'trainer.wandb.projekt'. Did you mean 'project'?",
        ),
        (
            "mixture:\n  games:\n    task: viggo\n    wieght: 2",
            "settings.yaml:4: unknown key 'mixture.games.wieght'. Did you mean 'weight'?",
        ),
        (
            "mixture:\n  a: {task: viggo}\n  b: {weight: 2}",
            "settings.yaml:3: mixture.b.task is missing. Each part of a mixture needs it.",
        ),
        (
            "mixture:\n  a:\n    task: viggo\n    weight: 0",
            "settings.yaml:4: mixture.a.weight: Input should be greater than 0. Got 0.",
        ),
        ("learning_rate: 1", "settings.yaml:1: unknown key 'learning_rate'. Did you mean 'optimizer.learning_rate'?"),
    ],
)
def test_a_wrong_key_is_named_with_its_line_and_the_nearest_key(load: Load, text: str, message: str):
    assert refusal(load, text) == message


def test_an_unknown_key_like_no_other_is_told_what_keys_there_are(load: Load):
    assert "Keys there: alpha, dropout, quantize_base, r," in refusal(load, "lora: {xyz: 1}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "trainer: {train_batch_size: many}",
            "settings.yaml:1: trainer.train_batch_size must be a whole number of at least 1. Got 'many'.",
        ),
        (
            "trainer: {train_batch_size: 0}",
            "settings.yaml:1: trainer.train_batch_size must be a whole number of at least 1. Got 0.",
        ),
        ("task: 3", "settings.yaml:1: task must be text. Got 3."),
        ("optimizer: {beta1: 1}", "settings.yaml:1: optimizer.beta1 must be a number from 0 to below 1. Got 1."),
        ("optimizer: {beta2: 1}", "settings.yaml:1: optimizer.beta2 must be a number from 0 to below 1. Got 1."),
        ("lora: {target_modules: []}", "settings.yaml:1: lora.target_modules must be a name or a list of names. Got []."),
        (
            "evaluation:\n  patience: 3",
            "settings.yaml:2: evaluation.patience must be a whole number of at least 1, or null. Got 3:",
        ),
        ("evaluation: {patience: 3}", "Got 3: it counts evaluations during training, so set evaluation.every too."),
        ("mixture: {'a:b': {task: sql}}", "the name of a part has no colon, which ends it in the ids of its examples."),
        ("lora: {dropout: 1}", "settings.yaml:1: lora.dropout must be a number from 0 to below 1. Got 1."),
        (
            "optimizer:\n\n  lr_schedule: step",
            "settings.yaml:3: optimizer.lr_schedule must be one of cosine, linear, constant. Got 'step'.",
        ),
        ("optimizer: 3", "settings.yaml:1: optimizer must be a section of learning_rate, weight_decay, "),
        ("trainer: {tensor_parallel_axes: [mlp, head]}", "must be a list: one of mlp, heads. Got ['mlp', 'head']."),
        ("trainer: {mesh: {dta: 1}}", "settings.yaml:1: trainer.mesh must be a mapping with data, model. Got {'dta': 1}."),
        ("trainer: {mesh: {data: -1, model: -1}}", "-1 on one axis for all devices that are left."),
        (
            "trainer: {seed: yes}",
            "trainer.seed must be a whole number from 0 to below 9223372036854775808. Got True",
        ),
        ("evaluation: {seed: -1}", "evaluation.seed must be a whole number from 0 to below 9223372036854775808. Got -1."),
        ("optimizer: {learning_rate: -2E-5}", "must be a number above 0, or null. Got '-2E-5'."),
        ("optimizer: {learning_rate: .inf}", "must be a number above 0, or null. Got inf."),
        ("trainer: {mp: c=f8}", "Precision 'c=f8' has an unknown type 'f8'."),
    ],
)
def test_a_wrong_value_is_named_with_what_was_expected(load: Load, text: str, message: str):
    assert message in refusal(load, text)


def test_every_fault_is_named_at_once(load: Load):
    message = refusal(load, "trainer:\n  seeds: 1\n  mp: 3\n")
    assert "unknown key 'trainer.seeds'" in message
    assert "trainer.mp must be text" in message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("trainer:\n  seed: 1\n  seed: 2\n", "settings.yaml:3: key 'trainer.seed' stands twice, first in line 2."),
        ("- task\n", "a configuration is a mapping of keys to values. Got list."),
        ("task: [\n", "settings.yaml:2: not YAML"),
        ("3: 4\n", "settings.yaml:1: a key must be text."),
        ("task: !!python/name:os.system\n", "not YAML"),
    ],
)
def test_a_file_that_is_no_configuration_is_refused(load: Load, text: str, message: str):
    assert message in refusal(load, text)


def test_a_missing_file_is_named():
    assert refusal(load_config, "nowhere.yaml") == "There is no configuration file nowhere.yaml."


def test_a_configuration_is_read_from_a_url():
    import fsspec

    fsspec.filesystem("memory").pipe_file("/run/settings.yaml", b"trainer: {seed: 7}")
    assert load_config("memory://run/settings.yaml").trainer.seed == 7


def test_every_key_is_documented():
    assert [key.name for key in keys() if not key.meaning] == []


def configurations() -> st.SearchStrategy[Config]:
    texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=20)
    return st.builds(
        lambda **values: Config.model_validate({name: value for name, value in values.items() if value is not ...}),
        task=texts,
        data=st.none() | texts,
        task_options=st.dictionaries(texts, st.none() | st.booleans() | st.integers() | texts | st.lists(texts), max_size=3),
        plugins=st.lists(texts, max_size=2),
        trainer=st.fixed_dictionaries(
            {
                "seed": st.integers(0, 2**63 - 1),
                "mesh": st.just({"data": 2}),
                "wandb": st.none() | st.just({}) | st.just({"tags": ["1"]}),
            }
        ),
        optimizer=st.fixed_dictionaries({"learning_rate": st.none() | st.floats(1e-300, 1e300)}),
        lora=st.none() | st.fixed_dictionaries({"r": st.integers(1, 64), "rslora": st.booleans()}),
    )


@given(configurations())
def test_a_printed_configuration_loads_as_itself(config: Config):
    assert Config.model_validate(yaml.safe_load(as_yaml(config))) == config
