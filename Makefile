# The commands of a developer and of CI. `make` alone lists them.
PYTHON ?= python3
PHOTO ?=

MEMBERS := core plugins/fasttaskapi plugins/openapi plugins/runpod plugins/storage_s3 plugins/storage_azure plugins/compat \
  server examples/farcall-echo examples/farcall-folder
BENCHMARKS := import_time call_overhead many_jobs queue_rate plain_endpoint memory beside_apipod upload files runpod_polls \
  runpod_overhead storages
BIN := .venv/bin
export UV_PYTHON_DOWNLOADS = never
# As pip does: trust the certificates that this machine trusts (a company's proxy).
export UV_SYSTEM_CERTS = 1
export UV_BUILD_CONSTRAINT = constraints.txt
export PIP_BUILD_CONSTRAINT = constraints.txt

.DEFAULT_GOAL := help
.PHONY: help install demo test rivals azurite check lint types system-deps bench constraints clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' Makefile

install: .venv/installed ## make .venv, with every member editable and the developers' tools

demo: .venv/installed ## a photograph through a job server on this machine (PHOTO=my.jpg for your own)
	@$(BIN)/farcall demo $(if $(PHOTO),--photo "$(PHOTO)")

test: .venv/installed ## every test that needs nothing beside Python packages
	$(BIN)/pytest -n 2 --dist loadfile -m "not rivals and not azurite"

rivals: .venv/installed ## our providers against other projects' servers and documents, fetched into .rivals
	$(BIN)/pytest -n 2 --dist loadfile -m rivals tests/rivals

azurite: .venv/installed ## storages against Azurite, which system-deps puts into .rivals
	$(BIN)/pytest -m azurite tests/storages

check: lint types test azurite rivals ## what CI runs: lint, types, tests and what needs `make system-deps`

lint: .venv/installed ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/installed ## mypy, strict
	$(BIN)/mypy

system-deps: ## install what tests need beside Python packages
	command -v npm >/dev/null || { apt-get update -qq && apt-get install -y -qq npm; }
	cmp -s tests/storages/azurite/package-lock.json .rivals/azurite/whole || { \
	  mkdir -p .rivals/azurite && cp tests/storages/azurite/package*.json .rivals/azurite && \
	  npm ci --prefix .rivals/azurite --ignore-scripts --no-audit --no-fund --silent && \
	  cp tests/storages/azurite/package-lock.json .rivals/azurite/whole; }

bench: .venv/installed ## what calls, jobs and files cost, beside other software (fetched into .rivals)
	@missed=; for name in $(BENCHMARKS); do \
	  echo "== $$name"; $(BIN)/python benchmarks/$$name.py || missed="$$missed $$name"; \
	done; test -z "$$missed" || { echo "missed a bound:$$missed"; exit 1; }

constraints: .venv/installed ## pin everything anew, at what is newest now
	$(PYTHON) -m venv .venv/newest
	.venv/newest/bin/python -m pip install -q -U pip
	.venv/newest/bin/python -m pip install -q --group dev uv editables $(MEMBERS:%=-e ./%)
	(sed -n '/^#/p' constraints.txt; .venv/newest/bin/python -m pip freeze --all --exclude setuptools --exclude-editable) \
	  > .venv/newest/pins && cp .venv/newest/pins constraints.txt && rm -rf .venv/newest

clean: ## remove .venv and everything made
	rm -rf .venv .rivals demo-output .mypy_cache .ruff_cache .hypothesis

# Made anew when a pin or a member's pyproject.toml changes; uv is the quick way, pip the one that is always there.
.venv/installed: constraints.txt pyproject.toml $(MEMBERS:%=%/pyproject.toml)
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q -c constraints.txt pip
	install="$(BIN)/uv pip install -p $(BIN)/python"; \
	$(BIN)/python -m pip install -q -c constraints.txt uv || install="$(BIN)/python -m pip install"; \
	$$install -q -c constraints.txt --group dev $(MEMBERS:%=-e ./%)
	touch $@
