# Every target sets up what it needs in .venv, and does nothing twice.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-cluster check format serve kills fuzz failpoints blackbox sim bench bench-commits bench-wakeups deploy-check lock clean

help: ## List what can be done here
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

$(STAMP): requirements/dev.txt pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Setting up $(VENV) …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

setup: $(STAMP) ## Set up the virtual environment in .venv

demo: $(STAMP) ## Two devices and a server on real files: the main job, shown (ARGS=--keep leaves the server up)
	@$(BIN)/python -m syncline.cli.demo $(ARGS)

test: $(STAMP) ## Run every test
	@$(BIN)/python -m pytest -n 2 tests $(ARGS)

check: $(STAMP) ## Format, lint, types, imports
	@$(BIN)/ruff format --check src tests bench deploy
	@$(BIN)/ruff check src tests bench deploy
	@$(BIN)/mypy
	@$(BIN)/lint-imports --config pyproject.toml

format: $(STAMP) ## Format the code and mend what lint can mend
	@$(BIN)/ruff format src tests bench deploy
	@$(BIN)/ruff check --fix src tests bench deploy

serve: $(STAMP) ## Start a server to use, with its data in ./demo-data
	@$(BIN)/syncline serve --data demo-data $(ARGS)

test-cluster: $(STAMP) ## The scale-out profile from end to end, everything in it killed in turn (ARGS="--only gateway-1 postgres")
	@$(BIN)/python -m tests.cluster $(ARGS)

kills: $(STAMP) ## 100 kill -9 of server and devices at random moments (ARGS='--kills 20 --seed 7')
	@$(BIN)/python -m tests.e2e.kills $(ARGS)

fuzz: $(STAMP) ## 20,000 random requests to every door, held against the OpenAPI document (ARGS='--requests 2000 --seed 7')
	@$(BIN)/python -m tests.fuzz $(ARGS)

failpoints: $(STAMP) ## kill -9 at every failpoint, five times each (ARGS="--times 1 --points 'files.*'")
	@$(BIN)/python -m tests.sim.kills $(ARGS)

blackbox: $(STAMP) ## Random scripts on three real devices against a model (ARGS='--scripts 100 --seed 7')
	@$(BIN)/python -m tests.sim.blackbox $(ARGS)

sim: $(STAMP) ## Simulated worlds for ten minutes on two cores (ARGS='--seconds 60 --jobs 1 --start 1000')
	@$(BIN)/python -m tests.sim.everything $(ARGS)

bench: $(STAMP) ## Micro benchmarks
	@$(BIN)/python -m bench $(ARGS)

bench-commits: $(STAMP) ## File commits a second on PostgreSQL, 60 s over a million files (ARGS='--seconds 10 --folder /tmp/kept')
	@$(BIN)/python -m bench.macro.commits $(ARGS)

bench-wakeups: $(STAMP) ## Ten thousand who wait: their cost, and how soon they hear (ARGS='--sockets 1000 --people 100')
	@$(BIN)/python -m bench.wakeups $(ARGS)
.venv-deploy/.installed: requirements/deploy.txt
	@test -x .venv-deploy/bin/python || $(PYTHON) -m venv .venv-deploy
	@.venv-deploy/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/deploy.txt
	@touch $@

deploy-check: .venv-deploy/.installed ## Hold the files of deploy/ to their own checkers (promtool and nginx where the machine has them)
	@PATH="$(CURDIR)/.venv-deploy/bin:$$PATH" .venv-deploy/bin/python deploy/check.py

lock: $(STAMP) ## Renew the hashed lock files from pyproject.toml
	@$(BIN)/python -m pip install --quiet pip-tools
	@for extra in "" server scale telemetry dev; do \
	  name=$${extra:-client}; flags=""; \
	  case $$extra in server) flags="--extra server";; scale) flags="--extra server --extra scale";; telemetry) flags="--extra server --extra scale --extra telemetry";; \
	    dev) flags="--extra server --extra scale --extra telemetry --extra dev --allow-unsafe";; esac; \
	  $(BIN)/pip-compile --quiet --generate-hashes --strip-extras --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-header --allow-unsafe $$flags -o requirements/$$name.txt pyproject.toml; done

clean: ## Remove the virtual environment and caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache
