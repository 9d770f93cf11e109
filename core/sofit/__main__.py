"""`python -m sofit` is the command `sofit`."""

from sofit.cli import main

main()
