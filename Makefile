# Everything a contributor runs.  `make demo` and `make test` need only Python 3.11 (or later).
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
NEWEST = $(shell tools/pythons.sh 11 | tail -n 1)

.PHONY: venv demo test test-slow test-newest test-oldest smoke lint types format torch features clean

venv: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]' --constraint constraints.txt
	@touch $@

demo: venv  ## train, translate and evaluate on the built-in world; writes runs/demo/report.html
	$(BIN)/python tools/demo.py

test: venv
	$(BIN)/python -m pytest

test-slow: venv
	$(BIN)/python -m pytest -m slow

test-newest:  ## the suite on the newest Python at hand, with the newest of every dependency
	$(NEWEST) -m venv --clear .venv-newest
	.venv-newest/bin/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	.venv-newest/bin/python -m pytest

test-oldest:  ## the suite with the lower bound of every dependency
	$(PYTHON) -m venv --clear .venv-oldest
	$(PYTHON) tools/lower_bounds.py > .venv-oldest/constraints.txt
	.venv-oldest/bin/pip install --quiet --disable-pip-version-check --editable '.[dev]' --constraint .venv-oldest/constraints.txt
	.venv-oldest/bin/python -m pytest

smoke: venv  ## a plain install, and the whole job, on every Python from 3.12 on that is at hand
	@for python in $$(tools/pythons.sh); do \
	  $$python -m venv --clear --without-pip .venv-smoke && \
	  $(BIN)/pip --python .venv-smoke/bin/python install --quiet --disable-pip-version-check --no-compile . && \
	  .venv-smoke/bin/python tools/smoke.py || exit 1; \
	done

lint: venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: venv
	$(BIN)/pyright

format: venv
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

torch: venv  ## for tools/benchmarks/generator.py and for reading .pth files
	$(BIN)/pip install --quiet --disable-pip-version-check torch==2.13.0

features: venv  ## trained VGG-16 features (55 MB), for --config.content.weights=vgg16
	$(BIN)/python tools/fetch_vgg16.py

clean:
	rm -rf .venv .venv-newest .venv-oldest .venv-smoke .pytest_cache .ruff_cache build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
