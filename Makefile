# Every target sets itself up: a machine needs Python 3.11 or newer, git and make, nothing else.
# Settings: VENV=path of the environment, PYTHON=interpreter that makes it.

VENV ?= .venv
PYTHONS := $(or $(PYTHON),python3.13 python3.12 python3.11 python3)
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DOCS_STAMP := $(VENV)/.installed-docs
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

# neither the demo nor the tests may need a screen
export MPLBACKEND ?= Agg

.PHONY: demo test lint docs install clean

# one thread: between steps of a small network, a second one only waits, and takes time from everything else
demo: export OMP_NUM_THREADS = 1
demo: $(STAMP)
	$(BIN)/python examples/plot_complete_digits.py

# two processes of one thread each: on small networks more threads only wait for one another
test: export OMP_NUM_THREADS = 1
test: $(STAMP)
	$(BIN)/python -m pytest -n 2

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# the pages, and the gallery of examples, which it runs (again where they changed); a warning is an error, and
# -E reads all pages anew, for pages that did not change would keep theirs to themselves
docs: export OMP_NUM_THREADS = 1
docs: $(DOCS_STAMP)
	$(BIN)/python -m sphinx -E -W --keep-going -n -b html docs docs/_build/html
	@echo "Pages: docs/_build/html/index.html"

install: $(STAMP)

# The stamp makes the second time quick; a changed dependency makes it run again. Trying an interpreter
# is the only safe way to find one: version managers put names on PATH that do not run.
$(STAMP): pyproject.toml constraints.txt
	@if ! $(BIN)/python -m pip --version >/dev/null 2>&1; then \
	    found=; \
	    for python in $(PYTHONS); do \
	        if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
	            found=$$python; break; \
	        fi; \
	    done; \
	    if [ -z "$$found" ]; then \
	        echo "skmm needs Python 3.11 or newer; none of these is: $(PYTHONS)." >&2; \
	        echo "Install one, or name it: make <target> PYTHON=/path/to/python3" >&2; \
	        exit 1; \
	    fi; \
	    "$$found" -m venv --clear $(VENV); \
	fi
	@echo "Installing skmm and its dependencies into $(VENV) (minutes the first time: torch is large)"
	@$(PIP) install --constraint constraints.txt setuptools
	@$(PIP) install --constraint constraints.txt --no-build-isolation --editable '.[dev]'
	@touch $@

$(DOCS_STAMP): $(STAMP)
	@echo "Installing what the documentation needs into $(VENV)"
	@$(PIP) install --constraint constraints.txt --no-build-isolation --editable '.[dev,docs]'
	@touch $@

clean:
	rm -rf .venv build dist *.egg-info .coverage htmlcov .mypy_cache .pytest_cache .ruff_cache
	rm -rf examples/output docs/_build docs/auto_examples docs/generated docs/sg_execution_times.rst
	find skmm tests examples docs benchmarks -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
