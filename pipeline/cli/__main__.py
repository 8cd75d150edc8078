"""`python -m pipeline.cli`: for `accelerate launch` and `torchrun`, which start modules."""

from pipeline.cli.app import main

main()
