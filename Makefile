# What a person does with this project; `make help` lists it. Needs make and Python 3.11 to 3.13.
# uv comes from PATH, or is put into .uv/; everything else goes into .venv/ by requirements.lock.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help install lock demo up test check coverage format bench clean-state clean

# A dozen processes import the same libraries: where compiled code may not be kept, each compiles
# them anew. It is kept in the environment and the tree, which are ours.
unexport PYTHONDONTWRITEBYTECODE

JOBS ?= 2
VENV := .venv
BIN := $(VENV)/bin

# A stamp is newer than what was installed from, so that a second `make` takes no time.
RUN_STAMP := $(VENV)/.smartgrid-installed
DEV_STAMP := $(VENV)/.smartgrid-installed-dev

# The first Python that is one of ours; `make PYTHON=/path/to/python3.12` chooses another.
PYTHON ?= $(shell for name in python3 python3.13 python3.12 python3.11 python; do \
	if $$name -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
	>/dev/null 2>&1; then command -v $$name; break; fi; done)

help:  ## list what can be done
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(RUN_STAMP)  ## install, start everything, walk DAYS=60 of the demo grid through; EXIT=1 ends after it
	@exec $(BIN)/smartgrid demo $(if $(DAYS),--days $(DAYS)) $(if $(filter-out 0,$(EXIT)),--exit)

up: $(RUN_STAMP)  ## start everything and stay until Ctrl-C
	@exec $(BIN)/smartgrid up

test: $(DEV_STAMP)  ## unit, integration and end-to-end tests on real embedded servers
	@$(BIN)/python -m pytest -n $(JOBS) --dist loadgroup tests

check: $(DEV_STAMP)  ## format, lint, types, floors and unit tests, in under a minute
	@JOBS=$(JOBS) $(BIN)/python .ci/check.py

coverage: $(DEV_STAMP)  ## branch coverage of unit and integration tests, held against a floor per package
	@$(BIN)/coverage erase
	@$(BIN)/coverage run -m pytest -n $(JOBS) --dist loadgroup tests/unit tests/integration
	@$(BIN)/coverage combine -q
	@$(BIN)/python .ci/coverage_floors.py

format: $(DEV_STAMP)  ## write the format and the mends that ruff knows
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .

bench: $(DEV_STAMP)  ## the figures that README claims, each against its reference
	@trap 'exit 130' INT; missed=; for file in benchmarks/*.py; do echo "== $$file"; $(BIN)/python $$file || missed="$$missed $$file"; \
	done; [ -z "$$missed" ] || { echo "failed or short of their bounds:$$missed"; exit 1; }

install: $(DEV_STAMP)  ## install with the tools of development

$(RUN_STAMP): pyproject.toml requirements.lock
	@if [ -e $(DEV_STAMP) ] && [ -z "$$(find $^ -newer $(DEV_STAMP))" ]; then touch $@; \
	else PYTHON="$(PYTHON)" VENV=$(VENV) sh .ci/install.sh && touch $@; fi

$(DEV_STAMP): pyproject.toml requirements.lock
	@PYTHON="$(PYTHON)" VENV=$(VENV) sh .ci/install.sh --group dev && touch $@ $(RUN_STAMP)

lock:  ## resolve again into requirements.lock (pinned, hashed, naming no host)
	@UV="$$(PYTHON="$(PYTHON)" sh .ci/uv.sh)" && "$$UV" pip compile pyproject.toml --universal \
	--all-extras --group dev --generate-hashes --no-emit-index-url --no-header -q \
	--python-version 3.11 -o requirements.lock

clean-state:  ## stop what runs and remove the state (.smartgrid or SMARTGRID_HOME)
	@if [ -x $(BIN)/smartgrid ]; then $(BIN)/smartgrid down --remove-state; \
	elif [ -f "$${SMARTGRID_HOME:-.smartgrid}/home.json" ]; then rm -rf "$${SMARTGRID_HOME:-.smartgrid}"; fi

clean:  ## remove the environment, not the state
	@rm -rf $(VENV) .uv
