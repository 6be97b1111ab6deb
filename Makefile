# `make run` sets up and runs the whole recipe on its small default; `make test` sets up and runs the tests.
# Everything is installed into .venv by uv, at the versions and with the digests of envs/requirements.lock.

PYTHON ?= python3
LOCK := envs/requirements.lock
BIN := .venv/bin
READY := .venv/.ready
export PATH := $(CURDIR)/$(BIN):$(PATH)
# Where it is set, as in many containers, each process of a run compiles its libraries anew: half of its start.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup run test test-numeric test-slurm test-faults test-slurm-faults soak lint fix bench lock audit clean

help:  ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

$(READY): pyproject.toml $(LOCK)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	    || { echo "Python 3.11 or newer is needed, and $(PYTHON) is $$($(PYTHON) --version 2>&1): say make PYTHON=python3.12"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip --version >/dev/null 2>&1 || $(BIN)/python -m ensurepip
	sed -n '/^uv==/,/[^\\]$$/p' $(LOCK) > .venv/uv.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r .venv/uv.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes --build-constraints $(LOCK) -r $(LOCK)
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	touch $@

setup: $(READY)  ## Install everything into .venv

run: $(READY)  ## Run the whole recipe on the small default (minutes on a laptop)
	snakemake --profile profiles/local
	snakemake --profile profiles/local --quiet all --report report.html
	@echo && hawp report --table && echo 'report:           report.html (open it in a browser)'

test: $(READY)  ## Run the tests
	pytest -m "not slurm" -n auto --dist loadfile --no-loadscope-reorder

# Each library chooses its kernels by the processor, so each is told of a smaller one.
test-numeric: $(READY)  ## Run the tests of numbers as an old processor would round them (1.5 min)
	ATEN_CPU_CAPABILITY=default ONEDNN_MAX_CPU_ISA=SSE41 MKL_CBWR=COMPATIBLE OPENCV_CPU_DISABLE=AVX512-SKX,AVX2,AVX \
	    NPY_DISABLE_CPU_FEATURES="X86_V4 X86_V3" pytest -m numeric -n auto --dist loadfile

# Most of a workflow's time on Slurm is waiting, so two clusters run side by side.
test-slurm: $(READY)  ## Run the tests on a real Slurm (as root; installs Debian's packages)
	bash tests/slurm/install.sh
	pytest -m "slurm and not slow" -n 2 --dist loadfile --no-loadscope-reorder tests/slurm

test-faults: $(READY)  ## Kill the run on one machine twenty times instead of six
	HAWP_TEST_KILLS=20 pytest tests/end_to_end/test_workflow.py -k kills

test-slurm-faults: $(READY)  ## Disturb a run on a real Slurm in every way: preemption, lost nodes, killed drivers (15 min)
	bash tests/slurm/install.sh
	pytest -m "slurm and slow" tests/slurm

KILLS ?= 100
soak: $(READY)  ## Disturb tiny runs in every way until KILLS=100 disturbances were made; goes on counting (SEED=N begins with it)
	PYTHONPATH=.:tests/support python -m soak --kills $(KILLS) $(if $(SEED),--seed $(SEED))

bench: $(READY)  ## Speed on this machine, and how it grows (REFERENCE=DIR: beside a work tree of the reference)
	python benchmarks/bench.py $(if $(REFERENCE),--reference $(REFERENCE))
	python benchmarks/growth.py

# The one list of checks: .ci/run and pre-commit call it.
lint: $(READY)  ## Check style, floors and types: ruff, import-linter, mypy, snakefmt, snakemake --lint
	ruff check .
	ruff format --check .
	lint-imports --no-logo --cache-dir .mypy_cache/imports
	mypy
	snakefmt --check Snakefile rules workflow
	snakemake --lint

fix: $(READY)  ## Mend what ruff and snakefmt can mend by themselves
	ruff check --fix .
	ruff format .
	snakefmt Snakefile rules workflow

# A Mac needs macOS 14 or later, on Apple's own processors: PyTorch is built for no other.
lock: $(READY)  ## Write envs/requirements.lock anew, and see that Linux and macOS can install from it (2 min)
	uv pip compile --quiet --python-version 3.11 --universal --no-annotate --no-header --generate-hashes \
	    --all-extras pyproject.toml -o $(LOCK)
	for platform in x86_64-manylinux_2_28 aarch64-manylinux_2_28 aarch64-apple-darwin; do \
	    for python in 3.11 3.12 3.13; do \
	        MACOSX_DEPLOYMENT_TARGET=14.0 uv pip install --quiet --dry-run --target .venv/elsewhere \
	            --python-platform $$platform --python-version $$python --require-hashes \
	            --only-binary :all: --no-binary connection-pool --build-constraints $(LOCK) -r $(LOCK) || exit 1; \
	    done \
	done

audit: $(READY)  ## Ask PyPI whether a known weakness is in what the lock installs (needs the network)
	pip-audit --strict --require-hashes --disable-pip -r $(LOCK)

clean:  ## Remove the environment; results stay
	rm -rf .venv
