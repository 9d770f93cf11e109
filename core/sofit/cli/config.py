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
    plugin: options.PluginFiles = None,
) -> None:
    """Print the settings that `sofit train` would use with the same options, as YAML that --config reads."""
    overrides = {"task": task, "data": data, "model": model}
    loaded, _ = options.configure(config=config, settings=settings, plugin=plugin, overrides=overrides, method=method)
    from sofit.config_reference import as_yaml

    typer.echo(as_yaml(loaded), nl=False)
