# make lab   opens the course        make test   proves that it works here        make help   lists everything
#
# Options, for example `make lab TORCH_INDEX=... LAB_ARGS=--no-browser`:
#   PYTHON=python3.12   the Python that makes .venv (3.11 or newer; by default the first one found)
#   LOCKED=1            install exactly the versions that were tested (Linux, Python 3.11)
#   TORCH_INDEX=url     one more package index: on Linux without a GPU, PyTorch's index of CPU builds saves 2.8 GB
#   PIP_ARGS="..."      passed on to pip install
#   LAB_ARGS="..."      passed on to tlcourse lab
#   BENCH_ARGS="..."    passed on to benchmarks/compare.py; with --repeats 1 it takes 50 minutes

LOCK := requirements/tested-py311-linux.txt
PY := .venv/bin/python
TLCOURSE := .venv/bin/tlcourse
PIP := $(PY) -m pip install --disable-pip-version-check $(if $(LOCKED),--constraint $(LOCK)) \
	$(if $(TORCH_INDEX),--extra-index-url "$(TORCH_INDEX)") $(PIP_ARGS)
# What was installed leaves a stamp; pip runs again only when pyproject.toml (or the lock) is newer than it.
LAB := .venv/.installed-lab$(if $(LOCKED),-locked)
TEST := .venv/.installed-test$(if $(LOCKED),-locked)
BENCH := .venv/.installed-bench
CELL_SECONDS := 600
# So many processes share the tests, one thread each: faster than one process with as many threads.
JOBS := 2
SHARED := -n $(JOBS) --dist loadscope --no-loadscope-reorder
# A thread that waits sleeps, and leaves the core to the others; `tlcourse lab` does the same.
export OMP_WAIT_POLICY ?= PASSIVE

.PHONY: help lab test lint unit browser nbval notebooks bench clean
.NOTPARALLEL:
.DEFAULT_GOAL := help

help: ## list what can be made
	@echo "make lab        install, fetch weights and data, open the course in JupyterLab"
	@echo "make test       install, fetch, then check everything: lint, unit tests, doctests, every notebook"
	@echo "make lint       a part of it: style, and whether notebooks/ is what chapters/ say"
	@echo "make unit       a part of it: unit tests and doctests (PYTEST_ARGS chooses)"
	@echo "make browser    a part of it: the widgets in a real JupyterLab and in Voila"
	@echo "make nbval      a part of it: every notebook, by itself and in JupyterLab, with the network blocked"
	@echo "make notebooks  make notebooks/ from chapters/"
	@echo "make bench      install five other trainers beside this one, compare them for two to three hours, write benchmarks/"
	@echo "make clean      remove the environment and what tests leave (fetched weights stay: tlcourse fetch --clear all)"
	@echo "Options (PYTHON, LOCKED, TORCH_INDEX, PIP_ARGS, LAB_ARGS, BENCH_ARGS) are explained at the top of the Makefile."

lab: $(LAB)
	@$(TLCOURSE) fetch --profile small
	@$(TLCOURSE) lab $(LAB_ARGS) || test $$? -eq 130 # Ctrl-C is how one stops it

test: $(TEST)
	@$(TLCOURSE) fetch --profile small
	@$(MAKE) --no-print-directory --keep-going lint unit browser nbval

# The parts of `make test`, for whoever works on one of them.
lint: $(TEST)
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(TLCOURSE) build --check

unit nbval: export OMP_NUM_THREADS = 1

unit: $(TEST)
	$(PY) -m pytest $(SHARED) --ignore=tests/browser $(PYTEST_ARGS)

# What a page does within so many seconds is tried with nothing else running.
browser: $(TEST)
	$(PY) -m pytest tests/browser --ignore=tests/browser/test_notebooks.py $(PYTEST_ARGS)

# After `fetch` a notebook needs no network: it runs with every download forbidden and every other host out of reach.
nbval: $(TEST)
	TLCOURSE_OFFLINE=1 HF_HUB_OFFLINE=1 PYTHONPATH="$(CURDIR)/tests/no_network" \
		$(PY) -m pytest tests/browser/test_notebooks.py notebooks $(SHARED) \
		--nbval-lax --nbval-current-env --nbval-cell-timeout $(CELL_SECONDS) $(PYTEST_ARGS)

notebooks: $(LAB)
	$(TLCOURSE) build

# Times mean something on a quiet machine only; the tables and figures of benchmarks/ are written anew.
bench: $(BENCH)
	@$(TLCOURSE) fetch --profile small
	$(PY) benchmarks/compare.py $(BENCH_ARGS)
	$(PY) benchmarks/predicted.py
	$(PY) benchmarks/roofline.py
	$(PY) benchmarks/report.py

# Everything in the environment that `test` needs contains what `lab` needs.
$(TEST): pyproject.toml $(if $(LOCKED),$(LOCK)) | .venv/.made
	$(PIP) --editable ".[test]"
	@touch "$@" "$(LAB)"

$(BENCH): pyproject.toml | .venv/.made
	$(PIP) --editable ".[bench]"
	@touch "$@" "$(LAB)" "$(TEST)"

$(LAB): pyproject.toml $(if $(LOCKED),$(LOCK)) | .venv/.made
	$(PIP) --editable ".[lab]"
	@touch "$@"

.venv/.made:
	@found=; for python in $(if $(PYTHON),"$(PYTHON)",python3 python3.13 python3.12 python3.11 python); do \
		if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then found="$$python"; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
		echo "The course needs Python 3.11 or newer; $(if $(PYTHON),$(PYTHON) is not one,none was found)." >&2; \
		echo "Install it from https://www.python.org/downloads/, or name it: make lab PYTHON=/path/to/python3.12" >&2; \
		exit 1; \
	fi; \
	if $(PY) -m pip --version >/dev/null 2>&1; then touch "$@"; exit 0; fi; \
	if ! "$$found" -c 'import ensurepip, venv' 2>/dev/null; then \
		echo "Python's module venv is missing. On Debian or Ubuntu: sudo apt-get install python3-venv" >&2; \
		exit 1; \
	fi; \
	echo "Making .venv with $$("$$found" --version)"; \
	"$$found" -m venv --clear .venv && touch "$@"

clean: ## leaves notebooks/ and the fetched weights alone
	rm -rf .venv build dist *.egg-info .pytest_cache .ruff_cache .hypothesis .coverage
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
	find . -name .ipynb_checkpoints -type d -prune -exec rm -rf {} +
