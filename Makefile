# Every target sets up what it needs: only git, make and a Python with venv are assumed.
PYTHON ?= python3
UV := .uv/bin/uv
BIN := .venv/bin
WORKERS ?= 2

.PHONY: demo test check bench peers notebooks docs env lock clean

demo: env
	$(BIN)/neuromorph demo

test: env
	$(BIN)/python -m pytest -n $(WORKERS)

check: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache
	$(BIN)/pyright

notebooks: env
	$(BIN)/python -m pytest -n 0 tests/test_notebooks.py

docs: env
	$(BIN)/python -m docs.generate

bench: env
	$(BIN)/python -m benchmarks.digits_seeds
	$(BIN)/python -m benchmarks.kill_test
	$(BIN)/python -m benchmarks.training_speed
	$(BIN)/python -m benchmarks.large_networks

# the libraries that benchmarks compare with
peers: env
	$(UV) pip install --quiet --python $(BIN)/python --constraint requirements.lock --group peers

env: .venv/.ready

# uv installs the pinned environment; it comes from PyPI into .uv, nothing outside this folder is touched
$(UV):
	$(PYTHON) -m venv .uv
	.uv/bin/pip install --quiet --disable-pip-version-check uv

.venv/.ready: requirements.lock pyproject.toml | $(UV)
	$(UV) venv --quiet --allow-existing .venv
	$(UV) pip sync --quiet --python $(BIN)/python requirements.lock
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --editable .
	touch $@

lock: $(UV)
	$(UV) lock --upgrade
	$(UV) export --quiet --no-header --no-annotate --format requirements-txt --no-emit-project --all-groups --no-group peers --output-file requirements.lock

clean:
	rm -rf .venv .uv runs
