# Each target makes the virtual environment it needs from nothing.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
WORKERS ?= 2
OUT ?= demo-output
# One thread a process: pytest-xdist and dask bring the parallelism. The tests of a file run in one
# process (loadscope), so that what they share is fitted once.
export OMP_NUM_THREADS ?= 1

.DEFAULT_GOAL := help
.PHONY: help venv demo test test-slow lint docs notebooks notebooks-quick bench clean

help:  ## say what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

venv: $(VENV)/.complete  ## virtual environment with everything for demo, tests and benchmarks

# `pip install` runs again when either file changes; an interrupted run leaves no stamp.
$(VENV)/.complete: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -e '.[baselines,cds,docs,notebooks,plot,recipes,remote,test]' -c constraints.txt
	touch $@

demo: OMP_NUM_THREADS = 2
demo: $(VENV)/.complete  ## simulate, hide, fit, fill, compare; writes a zarr store and a picture
	$(BIN)/xdiffimpute demo --out $(OUT) --overwrite

lint: $(VENV)/.complete  ## ruff, mypy and the layering contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

docs: $(VENV)/.complete  ## the documentation site, in docs/_build/html; warnings are errors
	$(BIN)/python -m sphinx -q -n -W --keep-going -E -d docs/_build/doctrees docs docs/_build/html

notebooks: OMP_NUM_THREADS = 2
notebooks: $(VENV)/.complete  ## run the notebooks; their outputs and pictures are kept beside them
	$(BIN)/python notebooks/execute.py

notebooks-quick: $(VENV)/.complete  ## run them in a reduced form and keep nothing
	XDI_QUICK=1 $(BIN)/python -m pytest --nbmake -n $(WORKERS) notebooks

test: $(VENV)/.complete  ## lint, documentation, notebooks in reduced form, then the fast tests
	@$(MAKE) --no-print-directory -j $(WORKERS) --output-sync=target lint docs
	@$(MAKE) --no-print-directory notebooks-quick
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadscope

test-slow: $(VENV)/.complete  ## the tests that take minutes
	$(BIN)/python -m pytest -m "slow and not gpu" --timeout 3600

bench: OMP_NUM_THREADS = 2
bench: $(VENV)/.complete  ## benchmarks that need no data; they take long
	for name in import_time first_guesses members guidance failing_stations streaming gaussian_limit; do \
	  echo "== $$name"; $(BIN)/python recipes/benchmarks/$$name.py || exit 1; done

clean:  ## remove the environment, caches and outputs
	rm -rf $(VENV) $(OUT) docs/_build docs/notebooks .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
