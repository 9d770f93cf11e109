"""The settings that depend on the data or the method, where the user gave none."""

from sofit.config import Config

_EPOCHS = 3
_DEMO_STEPS = 28
_LEARNING_RATES = {"lora": 1e-3, "full": 1e-4}
# For few steps, on examples that are all alike.
_DEMO_LEARNING_RATES = {"lora": 5e-3, "full": 2e-4}


def with_defaults(config: Config, examples: int, *, is_demo: bool) -> Config:
    """Returns the configuration with steps and learning rate filled in, and how to evaluate.

    Real data is seen three times over. The demo takes as many steps as show what training does within minutes. A model whose loss
    is on free tokens is judged under the grammar only: alone it writes no end.
    """
    trainer, optimizer, evaluation = config.trainer, config.optimizer, config.evaluation
    constrained = True if trainer.loss_on == "free" and evaluation.constrained is None else evaluation.constrained
    steps = _DEMO_STEPS if is_demo else max(1, _EPOCHS * examples // trainer.train_batch_size)
    learning_rates = _DEMO_LEARNING_RATES if is_demo else _LEARNING_RATES
    return config.model_copy(
        update={
            "trainer": trainer.model_copy(update={"num_train_steps": trainer.num_train_steps or steps}),
            "optimizer": optimizer.model_copy(update={"learning_rate": optimizer.learning_rate or learning_rates[config.method]}),
            "evaluation": evaluation.model_copy(update={"constrained": constrained}),
        }
    )
