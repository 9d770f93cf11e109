"""`sofit config`: every setting of a run, with its meaning."""

import typer

from sofit.cli import options


def show_config(
    task: options.Task = None,
    data: options.Data = None,
    model: options.Model = None,
    method: options.Method = None,
    config: options.ConfigFile = None,
    settings: options.Settings = None,
    steps: options.Steps = None,
    batch_size: options.BatchSize = None,
    seed: options.Seed = None,
    constrained: options.Constrained = None,
    out: options.Out = None,
    plugin: options.PluginFiles = None,
) -> None:
    """Print the settings that `sofit train` would use with the same options, as YAML that --config reads."""
    overrides = options.for_training(
        task=task, data=data, model=model, steps=steps, batch_size=batch_size, seed=seed, constrained=constrained, out=out
    )
    loaded, _ = options.configure(config=config, settings=settings, plugin=plugin, overrides=overrides, method=method)
    from sofit.config_reference import as_yaml

    typer.echo(as_yaml(loaded), nl=False)
