# Everything that one does with the project, one target each; `make` alone lists them.
# Needs Python 3.11+, pip and make. PYTHON=… names another interpreter, VENV=… another place for the environment.

PYTHON ?= python3
VENV ?= .venv
RESULTS ?= build/results
WORKERS ?= 5
SEEDS ?= 1000
ARGS ?=

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
PYTEST := $(BIN)/python -m pytest
CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/remediator-tests
AIRFLOW_VENV := $(or $(REMEDIATOR_AIRFLOW_VENV),$(CACHE)/airflow-venv)
AIRFLOW_PACKAGES := apache-airflow apache-airflow-providers-openlineage apache-airflow-providers-standard \
  apache-airflow-providers-common-sql apache-airflow-providers-sqlite apache-airflow-providers-common-io confluent-kafka \
  psycopg2-binary asyncpg
AIRFLOW2_VENV := $(or $(REMEDIATOR_AIRFLOW2_VENV),$(CACHE)/airflow2-venv)
AIRFLOW2_PACKAGES := apache-airflow psycopg2-binary

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help venv demo test test-full test-services test-airflow test-airflow2 airflow-venv airflow2-venv lint types format package sim bench soak docs \
  constraints clean

help:  ## list the targets
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1\t/p' $(firstword $(MAKEFILE_LIST)) | awk -F '\t' '{printf "  make %-14s %s\n", $$1, $$2}'

venv: $(VENV)/.dev  ## the environment for development, with everything that tests need

demo: $(VENV)/.demo  ## a fleet that fails, healed before your eyes (ARGS="--help" shows what it can)
	$(BIN)/remediator demo $(ARGS)

test: $(VENV)/.dev | $(RESULTS)  ## the fast suites: under four minutes, no Java, no Airflow
	$(PYTEST) -n $(WORKERS) --dist worksteal -m "not kafka and not airflow and not airflow2 and not slow" --junit-xml=$(RESULTS)/fast.xml $(ARGS)

test-full: test-services test-airflow test-airflow2  ## the heavy suites: Apache Kafka (Java, Maven), PostgreSQL, real Airflows

test-services: $(VENV)/.dev | $(RESULTS)  ## Apache Kafka and PostgreSQL
	$(PYTEST) -m "(kafka or slow) and not airflow and not airflow2" --junit-xml=$(RESULTS)/services.xml $(ARGS)

test-airflow: $(VENV)/.dev airflow-venv | $(RESULTS)  ## a real Airflow 3
	$(PYTEST) -m airflow --junit-xml=$(RESULTS)/airflow.xml $(ARGS) tests/airflow

test-airflow2: $(VENV)/.dev airflow2-venv | $(RESULTS)  ## a real Airflow 2
	$(PYTEST) -m airflow2 --junit-xml=$(RESULTS)/airflow2.xml $(ARGS) tests/airflow2

airflow-venv: $(AIRFLOW_VENV)/.complete  ## the environment of the real Airflow 3, outside of the project

airflow2-venv: $(AIRFLOW2_VENV)/.complete  ## that of the real Airflow 2

lint: $(VENV)/.dev  ## ruff: rules and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev  ## mypy, strict
	$(BIN)/mypy

format: $(VENV)/.dev  ## let ruff format and mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

package: build/package/.complete  ## does the wheel install by itself, with its command and its rule packs?
	build/package/bin/remediator --help > build/package/help.txt
	build/package/bin/remediator rules lint rules
	cd build/package && bin/python -c "import remediator, pathlib; packs = pathlib.Path(remediator.__file__).parent / 'packs'; \
	  assert list(packs.rglob('*.toml')), f'no rule packs in {packs}'; print('packs:', *sorted(p.name for p in packs.iterdir()))"

sim: $(VENV)/.dev  ## the simulation over SEEDS=1000 seeds
	$(BIN)/python -m remediator.testing.simulation --seeds $(SEEDS) --workers $(WORKERS) $(ARGS)

bench: $(VENV)/.dev  ## the benchmarks
	$(BIN)/python -m benchmarks $(ARGS)

soak: $(VENV)/.dev  ## the daemon under load for long, memory and backlog watched
	$(BIN)/python -m benchmarks.soak $(ARGS)

docs: $(VENV)/.dev  ## the examples of docs/stories.md, from a run of the demo and from scripts
	$(BIN)/python -m remediator.demo.pages --demo

constraints: $(VENV)/.dev  ## pin what is installed now
	{ echo '# The versions that the tests run with, for `pip install -c constraints.txt`. Made by `make constraints`.'; \
	  $(PIP) freeze --exclude-editable | grep -E '^[A-Za-z0-9._-]+=='; } > constraints.new
	mv constraints.new constraints.txt

clean:  ## remove the environment, caches and build products
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find remediator tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

$(RESULTS):
	@mkdir -p $@

# A Python without ensurepip (Debian's) makes no pip of its own: the pip outside installs it.
define make-venv
@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed: PYTHON=… names one") if sys.version_info < (3, 11) else None'
@$(PYTHON) -m venv $(1) > /dev/null 2>&1 || { $(PYTHON) -m venv --without-pip $(1) && $(PYTHON) -m pip -q --python $(1)/bin/python install pip; }
endef

$(VENV)/.created:
	$(call make-venv,$(VENV))
	@touch $@

$(VENV)/.demo: $(VENV)/.created pyproject.toml constraints.txt
	@echo "installing remediator with the demo extra into $(VENV) …"
	@$(PIP) install -q -c constraints.txt -e '.[demo]'
	@touch $@

$(VENV)/.dev: $(VENV)/.created pyproject.toml constraints.txt
	@echo "installing remediator with all that its tests need into $(VENV) …"
	@$(PIP) install -q -c constraints.txt -e '.[dev]'
	@touch $@ $(VENV)/.demo

$(AIRFLOW_VENV)/.complete: constraints-airflow.txt
	@echo "installing Airflow into $(AIRFLOW_VENV) …"
	@mkdir -p $(AIRFLOW_VENV)
	$(call make-venv,$(AIRFLOW_VENV))
	@$(AIRFLOW_VENV)/bin/python -m pip --disable-pip-version-check install -q -c constraints-airflow.txt $(AIRFLOW_PACKAGES)
	@touch $@

$(AIRFLOW2_VENV)/.complete: constraints-airflow2.txt
	@echo "installing Airflow 2 into $(AIRFLOW2_VENV) …"
	@mkdir -p $(AIRFLOW2_VENV)
	$(call make-venv,$(AIRFLOW2_VENV))
	@$(AIRFLOW2_VENV)/bin/python -m pip --disable-pip-version-check install -q -c constraints-airflow2.txt $(AIRFLOW2_PACKAGES)
	@touch $@

build/package/.complete: pyproject.toml constraints.txt $(shell find remediator rules -name '*.py' -o -name '*.sql' -o -name '*.toml')
	@rm -rf build/package
	@mkdir -p build
	$(call make-venv,build/package)
	@build/package/bin/python -m pip --disable-pip-version-check install -q -c constraints.txt .
	@touch $@
