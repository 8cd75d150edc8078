# Two commands: `make repro` builds the default benchmark, `make test` runs the tests.
PYTHON ?= python3.11
VENV := .venv
BIN := $(abspath $(VENV))/bin
export PATH := $(BIN):$(PATH)

.PHONY: repro test slow gpu chaos check bench docs viewer env dev
repro: env
	dvc repro

test: dev
	python -m pytest -n 2

slow: dev
	python -m pytest -n 1 -m slow

gpu: dev
	python -m pytest -n 4 --dist load -m gpu

chaos: dev
	python -m tests.chaos

check: dev
	ruff check . && ruff format --check . && mypy

bench: dev
	python bench/compose.py
	python bench/coregister.py
	python bench/fetch.py
	python bench/pairs.py
	python bench/train.py
	python bench/evaluate.py
	python bench/smooth.py
	python bench/scale.py 100 1000
	python bench/cluster.py

# The documentation as a site, in build/site.
docs: dev
	NO_MKDOCS_2_WARNING=1 mkdocs build --strict --quiet

# The libraries of the viewer, from npm.
viewer: env
	python -m pipeline.publish.vendored

# What builds and trains; and on top of it what tests.
env: $(VENV)/.ready
dev: $(VENV)/.dev

$(VENV)/.dev: $(VENV)/.ready
	python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[pipeline,dev]'
	@touch $@

$(VENV)/.ready: pyproject.toml constraints.txt
	@command -v git >/dev/null || { echo "minebench needs git: install it and run make again." >&2; exit 1; }
	@command -v $(PYTHON) >/dev/null || { echo "minebench needs Python 3.11: install it, or name yours with make PYTHON=/path/to/python3.11." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || { echo "minebench needs Python 3.11, and $(PYTHON) is another version: name yours with make PYTHON=/path/to/python3.11." >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "$(PYTHON) lacks the venv module: install it (Debian: python3.11-venv) and run make again." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[pipeline]'
	@touch $@
