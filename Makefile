# Everything a contributor runs.  `make demo` and `make test` need only Python 3.11 (or later).
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed

.PHONY: venv demo test test-slow lint types format torch features clean

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
	rm -rf .venv .pytest_cache .ruff_cache build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
