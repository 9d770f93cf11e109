"""Finding and loading plugins: installed packages by entry point, single files by `--plugin`."""

import importlib.metadata
import importlib.util
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pluggy

from sofit import hookspecs
from sofit.errors import SofitError, did_you_mean
from sofit.grammar import Grammar
from sofit.task import Task, check_task_class, make_task

if TYPE_CHECKING:
    from sofit.config import Config

ENTRY_POINT_GROUP = "sofit"


@dataclass
class Plugins:
    """What is installed: the tasks and grammars by name, and the hooks of every plugin."""

    manager: pluggy.PluginManager
    tasks: dict[str, type[Task]] = field(default_factory=dict)
    grammars: dict[str, Grammar] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    """Why a plugin was skipped, a line each."""
    _origins: dict[str, str] = field(default_factory=dict)

    def task(self, name: str) -> type[Task]:
        """Returns the task class called `name`.

        Raises:
            SofitError: there is none; lists those there are.
        """
        if name not in self.tasks:
            hint = did_you_mean(name, self.tasks) or " One in a file needs --plugin FILE."
            raise SofitError(f"No task is called {name!r}. {_installed(self.tasks)}.{hint}")
        return self.tasks[name]

    def make_task(self, config: "Config") -> Task:
        """Makes the task that a configuration asks for, with its options and data.

        Raises:
            SofitError: there is no such task, or it has no such option; or data or options stand beside a mixture.
        """
        if not config.mixture:
            return self._task_of(config.task, config.task_options, config.data)
        if config.data is not None or config.task_options:
            raise SofitError("Each part of a mixture has its own data and task_options. Move those that stand outside into it.")
        from sofit.mixture import Part, make_mixture

        parts = {
            name: Part(task=self._task_of(part.task, part.task_options, part.data), weight=part.weight)
            for name, part in config.mixture.items()
        }
        return make_mixture(parts)

    def _task_of(self, name: str, task_options: Mapping[str, Any], data: str | None) -> Task:
        return make_task(self.task(name), {**task_options, **({} if data is None else {"data": data})})

    def grammar(self, name_or_path: str) -> Grammar:
        """Returns the grammar called so, or read from a .lark file or the JSON Schema in a .json file.

        Raises:
            SofitError: there is neither; lists the names there are.
        """
        if name_or_path in self.grammars:
            return self.grammars[name_or_path]
        if name_or_path.endswith((".lark", ".json")):
            return Grammar.from_file(name_or_path)
        hint = did_you_mean(name_or_path, self.grammars)
        raise SofitError(
            f"No grammar is called {name_or_path!r}. {_installed(self.grammars)}. A path to a file must end in .lark, or in .json"
            f" for a JSON Schema.{hint}"
        )

    def origin(self, kind: str, name: str) -> str:
        """Returns the distribution or file that registered a "task" or "grammar"."""
        return self._origins[f"{kind} {name}"]


def _installed(names: Iterable[str]) -> str:
    return f"Installed: {', '.join(sorted(names)) or 'none'}"


def load_plugins(files: Sequence[str | Path] = ()) -> Plugins:
    """Loads every installed plugin, and the one-file plugins at `files`.

    An installed plugin that does not load is named in `warnings` and skipped; a file, which was asked for, fails.

    Raises:
        SofitError: two plugins register the same task or grammar, a hook is misspelt, a task class lacks a part, or a file
            in `files` does not load.
    """
    plugins = Plugins(pluggy.PluginManager("sofit"))
    plugins.manager.add_hookspecs(hookspecs)
    for distribution, entry_point in _entry_points():
        try:
            _register(plugins, entry_point.load(), distribution)
        except SofitError:
            raise
        except Exception as error:  # A stranger's code: whatever it raises must not take the command line down.
            reason = f"{type(error).__name__}: {error}"
            plugins.warnings.append(f"Plugin {entry_point.name!r} of {distribution} does not load and is left out: {reason}")
    # The configuration and --plugin may name one file in two ways.
    for file in {Path(file).resolve(): file for file in reversed(files)}.values():
        try:
            module = _load_file(Path(file))
            _register(plugins, module, str(file))
            if not plugins.manager.get_hookcallers(module):
                raise SofitError(f"Plugin {file} has no hook. Mark its functions with @sofit.hookimpl, as sofit_register_tasks.")
        except SofitError:
            raise
        except Exception as error:
            raise SofitError(f"Plugin {file} does not load: {type(error).__name__}: {error}") from error
    try:
        plugins.manager.check_pending()
    except pluggy.PluginValidationError as error:
        raise SofitError(f"{error}. The hooks are listed in docs/plugins.md.") from error
    return plugins


def _entry_points() -> list[tuple[str, importlib.metadata.EntryPoint]]:
    """Returns (distribution, entry point) pairs in a fixed order; one that several paths list counts once."""
    found = {}
    for entry_point in importlib.metadata.entry_points(group=ENTRY_POINT_GROUP):
        distribution = entry_point.dist.name if entry_point.dist else "an unknown distribution"
        found[distribution, entry_point.name] = entry_point
    return [(distribution, found[distribution, name]) for distribution, name in sorted(found)]


def _load_file(path: Path) -> object:
    name = f"sofit_plugin_file:{path.resolve()}"
    specification = importlib.util.spec_from_file_location(name, path)
    if not path.is_file() or specification is None or specification.loader is None:
        raise SofitError(
            f"There is no plugin file {path}. --plugin takes the path of a Python file. A configuration, that of a run too, lists"
            " such paths under `plugins`; they are relative to the folder that the command runs in. --set 'plugins=[PATH]' takes"
            " the place of that list."
        )
    module = importlib.util.module_from_spec(specification)
    sys.modules[name] = module  # Where `dataclass` looks up the annotations of its classes.
    specification.loader.exec_module(module)
    return module


def _register(plugins: Plugins, module: object, origin: str) -> None:
    """Registers one module and takes in the tasks and grammars that it alone announces."""
    if plugins.manager.is_registered(module):
        return
    tasks: list[type[Task]] = []
    grammars: list[Grammar] = []
    try:
        plugins.manager.register(module)
        others = [plugin for plugin in plugins.manager.get_plugins() if plugin is not module]
        plugins.manager.subset_hook_caller("sofit_register_tasks", others)(register=tasks.append)
        plugins.manager.subset_hook_caller("sofit_register_grammars", others)(register=grammars.append)
    except Exception:
        if plugins.manager.is_registered(module):
            plugins.manager.unregister(module)
        raise
    for task in tasks:
        check_task_class(task)
        _claim(plugins, "task", task.name, origin)
        plugins.tasks[task.name] = task
    for grammar in grammars:
        _claim(plugins, "grammar", grammar.name, origin)
        plugins.grammars[grammar.name] = grammar


def _claim(plugins: Plugins, kind: str, name: str, origin: str) -> None:
    key = f"{kind} {name}"
    if key in plugins._origins:
        other = plugins._origins[key]
        raise SofitError(f"Both {other} and {origin} register a {kind} called {name!r}. Uninstall or rename one of them.")
    plugins._origins[key] = origin
