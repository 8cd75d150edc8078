"""The command line. `app` has the commands, `python -m pipeline.cli` runs it."""
