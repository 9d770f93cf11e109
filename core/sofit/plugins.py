"""Finding and loading plugins: installed packages by entry point, single files by `--plugin`."""

import importlib.metadata
import importlib.util
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pluggy

from sofit import hookspecs
from sofit.errors import SofitError, did_you_mean
from sofit.grammar import Grammar
from sofit.task import Task, check_task_class

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
            raise SofitError(f"No task is called {name!r}. {_installed(self.tasks)}.{did_you_mean(name, self.tasks)}")
        return self.tasks[name]

    def grammar(self, name_or_path: str) -> Grammar:
        """Returns the grammar called so, or read from a .lark file.

        Raises:
            SofitError: there is neither; lists the names there are.
        """
        if name_or_path in self.grammars:
            return self.grammars[name_or_path]
        if name_or_path.endswith(".lark"):
            return Grammar.from_file(name_or_path)
        hint = did_you_mean(name_or_path, self.grammars)
        raise SofitError(
            f"No grammar is called {name_or_path!r}. {_installed(self.grammars)}. A path to a file must end in .lark.{hint}"
        )

    def origin(self, kind: str, name: str) -> str:
        """Returns the distribution or file that registered a "task" or "grammar"."""
        return self._origins[f"{kind} {name}"]


def _installed(names: Iterable[str]) -> str:
    return f"Installed: {', '.join(sorted(names)) or 'none'}"


def load_plugins(files: Sequence[str | Path] = ()) -> Plugins:
    """Loads every installed plugin, and the one-file plugins at `files`.

    An installed plugin that fails to import is named in `warnings` and skipped; a file, which was asked for, fails.

    Raises:
        SofitError: two plugins register the same task or grammar, a hook is misspelt, a task class lacks a part, or a file
            in `files` cannot be loaded.
    """
    plugins = Plugins(pluggy.PluginManager("sofit"))
    plugins.manager.add_hookspecs(hookspecs)
    for distribution, entry_point in _entry_points():
        try:
            module = entry_point.load()
        except Exception as error:  # A stranger's code: whatever it raises must not take the command line down.
            reason = f"{type(error).__name__}: {error}"
            plugins.warnings.append(f"Plugin {entry_point.name!r} of {distribution} does not load and is left out: {reason}")
            continue
        _register(plugins, module, distribution)
    for file in files:
        _register(plugins, _load_file(Path(file)), str(file))
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
    specification = importlib.util.spec_from_file_location(path.stem, path)
    if not path.is_file() or specification is None or specification.loader is None:
        raise SofitError(f"There is no plugin file {path}. --plugin takes the path of a Python file.")
    module = importlib.util.module_from_spec(specification)
    try:
        specification.loader.exec_module(module)
    except Exception as error:
        raise SofitError(f"Plugin {path} does not load: {type(error).__name__}: {error}") from error
    return module


def _register(plugins: Plugins, module: object, origin: str) -> None:
    """Registers one module and takes in the tasks and grammars that it alone announces."""

    def claim(kind: str, name: str) -> None:
        other = plugins._origins.setdefault(f"{kind} {name}", origin)
        if other != origin:
            raise SofitError(f"Both {other} and {origin} register a {kind} called {name!r}. Uninstall one of them.")

    def register_task(task: type[Task]) -> None:
        check_task_class(task)
        claim("task", task.name)
        plugins.tasks[task.name] = task

    def register_grammar(grammar: Grammar) -> None:
        claim("grammar", grammar.name)
        plugins.grammars[grammar.name] = grammar

    if plugins.manager.is_registered(module):
        return
    plugins.manager.register(module)
    others = [plugin for plugin in plugins.manager.get_plugins() if plugin is not module]
    hooks_of_module = plugins.manager.subset_hook_caller
    hooks_of_module("sofit_register_tasks", others)(register=register_task)
    hooks_of_module("sofit_register_grammars", others)(register=register_grammar)
