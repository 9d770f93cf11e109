"""The command line as a whole: its commands, and what every one of them does about errors."""

import errno
import logging
import traceback
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from sofit.cli import compare, config, data, evaluate, generate, grammar, inspect, plugin, tasks, train, validate
from sofit.errors import SofitError


class Commands(TyperGroup):
    """A group that prints an error in a line, without a traceback unless `--debug` asks for one."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Takes `--debug` from wherever it stands, so that it may be added at the end of any command."""
        end = args.index("--") if "--" in args else len(args)
        if "--debug" in args[:end]:
            args = ["--debug", *(argument for argument in args[:end] if argument != "--debug"), *args[end:]]
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Runs the command; exits with 2 on a SofitError or a file that fails, and with 130 on Ctrl-C."""
        try:
            return super().invoke(ctx)
        except SofitError as error:
            if ctx.params["debug"]:
                traceback.print_exc()
            typer.echo(f"error: {error}", err=True)
            raise typer.Exit(2) from None
        except OSError as error:
            if error.errno in (None, errno.EPIPE):
                raise  # Not of a file; or a reader that has seen enough, which click ends in silence.
            if ctx.params["debug"]:
                traceback.print_exc()
            typer.echo(f"error: {f'{error.filename}: ' if error.filename else ''}{error.strerror}", err=True)
            raise typer.Exit(2) from None
        except KeyboardInterrupt:
            typer.echo("interrupted", err=True)
            raise typer.Exit(130) from None


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Start with: sofit train --task viggo",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"sofit {version('sofit-jax')}")
        raise typer.Exit


@app.callback()
def sofit(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Fine-tune language models to write structured output (function calls, SQL, JSON), and show that they do."""
    notices = logging.getLogger("sofit")
    if not notices.handlers:
        notices.addHandler(logging.StreamHandler())  # To the standard error, a plain line each.
    notices.setLevel(logging.DEBUG if debug else logging.INFO)


data_commands = typer.Typer(no_args_is_help=True, help="Write a task's data to files, as text or as tokens.")
app.add_typer(data_commands, name="data")
app.add_typer(grammar.app, name="grammar")
app.add_typer(plugin.app, name="plugin")
app.command("train", epilog="Example: sofit train --task viggo --data data/viggo --steps 100")(train.train)
app.command("eval", epilog="Example: sofit eval --model runs/viggo-lora-1 --split test --limit 200")(evaluate.evaluate)
app.command("compare", epilog="Example: sofit compare runs/full runs/lora")(compare.compare)
app.command("generate", epilog='Example: sofit generate --model runs/viggo-lora-1 "Have you played Portal?"')(generate.generate)
app.command("validate", epilog="Example: sofit validate outputs.txt --grammar viggo")(validate.validate)
app.command("inspect", epilog="Example: sofit inspect --task viggo --data data/viggo")(inspect.inspect)
app.command("tasks", epilog="Example: sofit tasks viggo")(tasks.tasks)
app.command("grammars", epilog="Example: sofit grammars")(tasks.grammars)
app.command("config", epilog="Example: sofit config --config full.yaml --set trainer.seed=1")(config.show_config)
data_commands.command("export", epilog="Example: sofit data export --task viggo train.jsonl")(data.export)
data_commands.command("tokenize", epilog="Example: sofit data tokenize --task viggo --data all.jsonl --cache tokens")(
    data.tokenize
)
