# Two commands: `make repro` builds the default benchmark, `make test` runs the tests.
# The first of these that is Python 3.11 to 3.14; `make PYTHON=/path/to/python` names another.
SUPPORTED := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))
PYTHON ?= $(shell for name in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$name -c '$(SUPPORTED)' 2>/dev/null && { echo $$name; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
# The stages call `minebench` and `dvc` by name. Make itself, before 4.0, looks where it was started from.
export PATH := $(abspath $(BIN)):$(PATH)

.PHONY: repro real test slow gpu chaos check bench docs viewer env dev
repro: env
	$(BIN)/dvc repro

# The benchmark `romania`, of real images that pip fetches, in a project folder beside the demo's: build/real.
REAL := build/real
SEEDS := 1 2 3
REAL_RUNS := cva ir-mad $(foreach seed,$(SEEDS),fc-siam-diff@$(seed) unet@$(seed) unet@$(seed)-hmm utae@$(seed))
real: env
	$(BIN)/python catalogs/romania/get_images.py
	$(BIN)/python catalogs/romania/label_by_rule.py
	mkdir -p $(REAL)
	ln -sfn ../../catalogs $(REAL)/catalogs
	cp catalogs/romania/params.yaml $(REAL)/params.yaml
	cd $(REAL) && for stage in sites fetch compose annotate tile; do minebench $$stage || exit 1; done
	cd $(REAL) && for run in $(REAL_RUNS); do minebench train --model $$run && minebench evaluate --model $$run || exit 1; done
	cd $(REAL) && for stage in compare activity catalog report check; do minebench $$stage || exit 1; done
	$(BIN)/python bench/real.py

# Processes that tests start would compile minebench anew where no bytecode may be written.
test slow gpu chaos: export PYTHONDONTWRITEBYTECODE :=

# `make test K='fetch and not cluster'` runs the tests whose names have those words.
test: dev
	$(BIN)/python -m pytest -n 2 $(if $(K),-k '$(K)')

slow: dev
	$(BIN)/python -m pytest -n 1 -m slow

gpu: dev
	$(BIN)/python -m pytest -n 4 --dist load -m gpu

chaos: dev
	$(BIN)/python -m tests.chaos

check: dev
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

bench: dev
	$(BIN)/python bench/compose.py
	$(BIN)/python bench/coregister.py
	$(BIN)/python bench/fetch.py
	$(BIN)/python bench/pairs.py
	$(BIN)/python bench/train.py
	$(BIN)/python bench/evaluate.py
	$(BIN)/python bench/smooth.py
	$(BIN)/python bench/scale.py 100 1000
	$(BIN)/python bench/cluster.py

# The documentation as a site, in build/site.
docs: dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

# The libraries of the viewer, from npm.
viewer: env
	$(BIN)/python -m pipeline.publish.vendored

# What builds and trains; and on top of it what tests.
env: $(VENV)/.ready
dev: $(VENV)/.dev

INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e

$(VENV)/.ready: pyproject.toml constraints.txt
	@$(MAKE) --no-print-directory venv
	$(INSTALL) '.[pipeline]'
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt
	@$(MAKE) --no-print-directory venv
	$(INSTALL) '.[pipeline,dev]'
	@touch $(VENV)/.ready $@

# An environment that works is kept, with its Python: remove .venv to change that.
.PHONY: venv new-venv
venv:
	@command -v git >/dev/null || { echo "minebench needs git: install it and run make again." >&2; exit 1; }
	@$(BIN)/python -c '$(SUPPORTED)' 2>/dev/null && $(BIN)/python -m pip --version >/dev/null 2>&1 || { rm -rf $(VENV); $(MAKE) --no-print-directory new-venv; }
	@echo "minebench uses $$($(BIN)/python --version) in $(VENV)"

new-venv:
	@[ -n "$(PYTHON)" ] || { echo "minebench needs Python 3.11 to 3.14: install one, or name yours with make PYTHON=/path/to/python." >&2; exit 1; }
	@command -v $(PYTHON) >/dev/null || { echo "There is no $(PYTHON): name a Python 3.11 to 3.14 with make PYTHON=/path/to/python." >&2; exit 1; }
	@$(PYTHON) -c '$(SUPPORTED)' || { echo "minebench needs Python 3.11 to 3.14, and $(PYTHON) is $$($(PYTHON) --version): name another with make PYTHON=/path/to/python." >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "$(PYTHON) lacks the venv module: install it (Debian, Ubuntu: apt install python3-venv) and run make again." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
