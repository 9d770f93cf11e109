"""The command `sofit`. A module for each command; each imports what it needs when it runs, so that help is there at once."""

import logging

from sofit.cli.app import app


def main() -> None:
    """Runs the command line and exits with its code: 0, 1 (`validate`: something is invalid), 2 (an error), 130 (Ctrl-C)."""
    logging.getLogger("sofit").propagate = False  # A library's handler on the root logger would print each notice again.
    app(prog_name="sofit")
