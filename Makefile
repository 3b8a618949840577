# make app: set up and serve the app.  make test: set up and pass all tests.  make check: lint, types and the tests that need nothing.
# make test-fast: for daily use, without servers, browser, Ray, datasets and slow tests.  make types: the type checker.  make fix: tidy.
PYTHON ?= python3
PORT ?= 8501
BIN := .venv/bin

.PHONY: app test test-fast check check-lint types fix clean
.DELETE_ON_ERROR:

app: .venv/.run
	$(BIN)/streamlit run serve.py --server.port $(PORT)

test: .venv/.dev
	sh tests/e2e/install_chromium.sh
	failed=0; \
	$(BIN)/python -m pytest -n 2 --dist loadfile --durations=20 -m "not alone" || failed=1; \
	$(BIN)/python -m pytest --durations=20 -m alone || failed=1; \
	exit $$failed

test-fast: .venv/.dev
	$(BIN)/python -m pytest -q -n 2 --dist loadfile --durations=5 -m "not data and not ray and not slow and not alone"

check-lint: .venv/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

check: check-lint types
	$(BIN)/python -m pytest -m "not data and not e2e"

types: .venv/.dev
	$(BIN)/python -m mypy

fix: .venv/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv .pytest_cache .ruff_cache

# Debian ships Python without ensurepip; where we may, its package is installed, otherwise the message says what to do.
.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv .venv || { rm -rf .venv; [ "$$(id -u)" = 0 ] && apt-get update && apt-get install -y --no-install-recommends python3-venv && $(PYTHON) -m venv .venv; } || { rm -rf .venv; echo "install python3-venv first: sudo apt-get install python3-venv"; exit 1; }

# torch first and by itself: torchvision then finds its need met and pulls in nothing larger.
.venv/.run: requirements.txt pyproject.toml setup.py | .venv/bin/python
	$(BIN)/python -m pip install --disable-pip-version-check -q $$(grep '^torch==' requirements.txt)
	$(BIN)/python -m pip install --disable-pip-version-check -q -r requirements.txt --editable .
	touch $@

.venv/.dev: requirements-dev.txt .venv/.run
	$(BIN)/python -m pip install --disable-pip-version-check -q -r requirements-dev.txt
	touch $@
