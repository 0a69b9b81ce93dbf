# What a person types. Every target sets up what it needs; a second run finds everything there.

EXCHANGE ?= auto
HOME_FOLDER ?= $(HOME)/.streamforge
BASE_IMAGE ?= python:3.11-slim-bookworm
DOCKER_BUILD_FLAGS ?=
BENCH ?=
TRIALS ?= 20
LANES ?= 2

SOURCES := $(wildcard libs/*/src services/*/src)
SYNCED := .venv/.synced

.DEFAULT_GOAL := help

.PHONY: help
help: ## Show this list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

.PHONY: demo
demo: setup ## Load real candles end to end and report [EXCHANGE=auto|live|simulated|replay:PATH]
	@.venv/bin/python -m streamforge_local.demo --exchange "$(EXCHANGE)"

.PHONY: up
up: setup ## Start the platform and keep it running [EXCHANGE=…] [HOME_FOLDER=~/.streamforge]
	@exec .venv/bin/streamforge up --home "$(HOME_FOLDER)" --exchange "$(EXCHANGE)"

.PHONY: test
test: setup ## Run all tests, with a real broker and real servers
	@.venv/bin/pytest

.PHONY: e2e-k8s
e2e-k8s: setup ## Run the tests of a cluster and the end-to-end tests on the cluster that KUBECONFIG points at
	@.venv/bin/pytest tests/cluster
	@.venv/bin/pytest --platform cluster tests/e2e

.PHONY: images
images: ## Build the services' images, tell their sizes and what is in them [BASE_IMAGE=…] [DOCKER_BUILD_FLAGS=…]
	@BASE_IMAGE="$(BASE_IMAGE)" DOCKER_BUILD_FLAGS="$(DOCKER_BUILD_FLAGS)" scripts/images

.PHONY: compose-env
compose-env: ## Make the passwords that docker-compose.yml asks for [EXCHANGE=live|simulated]
	@scripts/compose-env $(filter-out auto,$(EXCHANGE))

.PHONY: chart-tools
chart-tools: ## Build what the tests of the chart and of docker-compose.yml need, some two minutes, once; skipped without
	@scripts/chart-tools

.PHONY: chaos
chaos: setup ## Break everything while it works, and prove that nothing is lost [TRIALS=20] [SEED=…] [KINDS=…] [LANES=2]
	@.venv/bin/python -m tests.chaos --trials "$(TRIALS)" --lanes "$(LANES)" $(if $(SEED),--seed "$(SEED)") $(if $(KINDS),--only $(KINDS))

.PHONY: bench
bench: setup ## Measure against ceilings of the same run, some 30 minutes [BENCH=--quick]
	@scripts/sync --group bench
	@.venv/bin/python -m bench $(BENCH)

.PHONY: lint
lint: $(SYNCED) ## Check style, types and who imports whom
	@.venv/bin/ruff check
	@.venv/bin/ruff format --check
	@.venv/bin/mypy $(SOURCES)
	@.venv/bin/lint-imports

.PHONY: fmt
fmt: $(SYNCED) ## Format, and fix what can be fixed
	@.venv/bin/ruff check --fix
	@.venv/bin/ruff format

# Everything that demo, up and test need: the Python environment, Java, and Kafka's jars in the cache folder.
.PHONY: setup
setup: $(SYNCED)
	@scripts/ensure-kafka

$(SYNCED): pyproject.toml uv.lock $(wildcard libs/*/pyproject.toml services/*/pyproject.toml)
	@scripts/sync
	@touch $@
