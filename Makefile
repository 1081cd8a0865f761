.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DEPLOY := $(VENV)/.deploy

.PHONY: help setup run check test test-browser compose-test deploy-check k8s-apply k8s-test mutants faults soak bench docs clean

help: ## Say what can be made
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

setup: $(STAMP) ## Install everything into .venv

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "onebus needs Python 3.11 or newer; run: make PYTHON=/path/to/python3.11")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

run: $(STAMP) ## Start everything on this machine: NATS, a sandbox chat, OneBot V11
	@exec $(BIN)/onebus up $(ARGS)

check: $(STAMP) ## Lint, types, layers, generated docs
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy shared services tests
	$(BIN)/lint-imports
	$(BIN)/python -m onebus.docs --check

docs: $(STAMP) ## Write the generated pages anew
	$(BIN)/python -m tests.conformance.table
	$(BIN)/python -m onebus.docs

test: $(STAMP) ## All tests that need no system package
	$(BIN)/pytest -m 'not browser and not compose and not deploy and not k8s' --numprocesses 3 --dist loadfile $(ARGS)

test-browser: $(STAMP) ## The sandbox page in headless Chromium (needs Debian's chromium)
	$(BIN)/pytest -m browser $(ARGS)

compose-test: $(STAMP) ## docker compose up, with stand-in images where no registry is reachable (root)
	deploy/docker/standin/engine.sh $(BIN)/pytest -m compose $(ARGS)

deploy-check: $(DEPLOY) ## Lint the Dockerfile, compose and Kubernetes files, and plant mistakes in them
	$(BIN)/pytest tests/deploy -m deploy $(ARGS)

# The older kubernetes-validate brings the schemas of servers that the newer one has dropped.
$(DEPLOY): $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[deploy]'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --upgrade --target $(VENV)/kubernetes-1.24 kubernetes-validate==1.24.1
	@touch $@

k8s-apply: $(DEPLOY) ## Apply every overlay to the server of KUBECONFIG, which must be one for tests; needs no node
	$(BIN)/pytest tests/k8s/test_apply.py -m k8s $(ARGS)

k8s-test: $(DEPLOY) ## Run deploy/k8s on the cluster of KUBECONFIG, which must be one for tests
	$(BIN)/pytest tests/k8s/test_cluster.py -m k8s $(ARGS)

mutants: $(STAMP) ## Plant faults in copies; the test named for each must fail (5 minutes)
	$(BIN)/python -m tests.mutants.run $(ARGS)

faults: $(STAMP) ## Break things under load and print the table of figures (90 minutes; QUICK=1: 4)
	$(BIN)/python -m tests.e2e.faults

soak: $(STAMP) ## An hour of ordinary life with bots that flap; what grows is a leak (ARGS=minutes)
	$(BIN)/python -m tests.e2e.faults.soak $(ARGS)

bench: $(STAMP) ## Measure beside the floor of the stack, write docs/benchmarks.md (QUICK=1: 4 minutes; needs wrk)
	$(BIN)/python -m tests.bench

clean: ## Remove what setup, check and test made
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
