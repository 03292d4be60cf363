# `make run` starts the product, `make test` its tests. PYTHON=python3.12 make run chooses the Python.
PYTHON ?=
BOOTSTRAP = sh scripts/python "$(PYTHON)" scripts/bootstrap.py

.PHONY: run test check bench clean

run:
	@$(BOOTSTRAP) run

test:
	@$(BOOTSTRAP) test $(ARGS)

check:
	@$(BOOTSTRAP) check

bench:
	@$(BOOTSTRAP) bench $(ARGS)

clean:
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis build
	find . -name __pycache__ -type d -not -path "./.git/*" -prune -exec rm -rf {} +
