# safe-reporting: `make help` lists what can be made.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= $(shell for p in python3.12 python3.11 python3; do $$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
COMPOSE ?= $(shell docker compose version > /dev/null 2>&1 && echo docker compose || echo docker-compose)
PYTEST := $(BIN)/python -m pytest

.PHONY: help setup demo test test-fast test-long lint format lock bench drill up down evaluate train clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*?## ' $(MAKEFILE_LIST) | awk -F':.*?## ' '{printf "  make %-10s %s\n", $$1, $$2}'

setup: $(VENV)/ready ## create .venv with the locked packages

$(VENV)/ready: requirements/dev.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "error: no Python 3.11 or 3.12 found; name one: make PYTHON=/path/to/python3.12" >&2; exit 2; }
	@echo "Installing the locked packages into $(VENV) with $(PYTHON) (a minute or two, once) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: setup ## made-up records of seven feeds through a real Kafka, explained on the terminal
	@$(BIN)/safe-reporting demo

test: setup lint ## all checks; under 15 minutes on two cores
	$(PYTEST) -m "not long"

test-fast: setup lint ## what needs no broker; about two minutes
	$(PYTEST) -m "not kafka and not chaos and not long"

test-long: setup ## the long versions: more kills, more records
	$(PYTEST) -m "long"

lint: setup ## ruff and mypy (strict)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: setup ## format and sort imports
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: setup ## records/s and latency through a real broker
	$(BIN)/safe-reporting bench pipeline

drill: setup ## a miss among 10,000 records is traced, recalled and proved
	$(BIN)/safe-reporting leak drill

evaluate: setup ## recall and false masks on tests/gold, and on outside texts: GOLD=DIR
	$(BIN)/safe-reporting evaluate tests/gold $(GOLD)

train: setup ## generate, train, evaluate and package the model of training/, some minutes
	$(BIN)/python -m training.generate build/training/corpus.spacy
	$(BIN)/python -m training.train build/training/corpus.spacy build/training/model
	$(BIN)/python -m training.evaluate build/training/model tests/gold
	$(BIN)/python -m training.package build/training/model

up: ## the whole deployment on this machine in containers (docker-compose.yml); data stay over down and up
	$(COMPOSE) up --detach --build
	@$(COMPOSE) ps

down: ## stop the containers, each inside its grace period; volumes stay
	$(COMPOSE) down

lock: ## resolve the requirements anew (needs uv)
	uv pip compile --python-version 3.11 --universal --generate-hashes --no-emit-index-url --no-header -q pyproject.toml -o requirements/runtime.txt
	uv pip compile --python-version 3.11 --universal --generate-hashes --no-emit-index-url --no-header -q pyproject.toml --extra embedded --group dev -c requirements/runtime.txt -o requirements/dev.txt
	uv pip compile --python-version 3.11 --universal --generate-hashes --no-emit-index-url --no-header -q --group build -c requirements/dev.txt -o requirements/build.txt

clean: ## remove the virtual environment and caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
