"""`python -m remediator` is the `remediator` command."""

from remediator.cli.main import main

main()
