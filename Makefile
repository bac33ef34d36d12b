# Every check and the demo, the same here and in CI. `make help` lists the targets.
# What runs in each part stands below as part-NAME; how long each may take stands in TESTING.md.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PARTS := lint sanity unit docs build contract molecule e2e
STAGE := $(CURDIR)/.build/collections/ansible_collections/homelab/mlops
RUN := .venv/bin/python tests/tools/run_parts.py

# Tools come from .venv, the collection from the staged copy, and Ansible keeps its files inside .build.
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export VIRTUAL_ENV := $(CURDIR)/.venv
export ANSIBLE_COLLECTIONS_PATH := $(CURDIR)/.build/collections
export ANSIBLE_HOME := $(CURDIR)/.build/ansible
export ANSIBLE_TEST_CONTENT_ROOT := $(STAGE)
export PYTHONUNBUFFERED := 1

.PHONY: help demo test $(PARTS) cluster bench bench-k3s soak clean venv stage lock format part-%

help: ## this list
	@awk 'BEGIN { FS = ":.*## " } /^[a-z0-9-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: stage ## four bare hosts, the whole installation, one real experiment; the lab stays up
	@$(RUN) --no-limit demo

test: stage ## every check that CI runs
	@$(RUN) --clean-up $(PARTS)

lint: stage ## ansible-lint, yamllint, ruff, shellcheck, gofmt, specs and defaults, changelog
	@$(RUN) lint

sanity: stage ## ansible-test sanity
	@$(RUN) sanity

unit: stage ## unit tests of modules, tools and lab
	@$(RUN) unit

docs: stage ## role READMEs from their argument_specs, plugin docs, and the HTML site in .build/docs
	@.venv/bin/python tests/tools/role_readme.py --write
	@$(RUN) docs

build: stage ## the lab's binaries and images, into the cache
	@$(RUN) build

contract: stage ## the ClearML double against the recordings of the real server, and real clients against it
	@$(RUN) contract

molecule: stage ## each role on lab hosts: check, converge, idempotence, verify
	@$(RUN) --clean-up molecule

e2e: stage ## the whole story on four lab hosts: install, experiment, second run, new worker, killed run
	@$(RUN) --clean-up e2e

cluster: stage ## years of a cluster in one story: grow, add, upgrade, lose machines, remove, uninstall
	@$(RUN) --clean-up cluster

bench: stage ## times of the main job and of a run without changes, into .build/bench
	@$(RUN) --no-limit bench

bench-k3s: stage ## the K3s part beside k3s-io/k3s-ansible (K3S_ANSIBLE=its checkout), and the price of one more worker
	@$(RUN) --no-limit --clean-up bench-k3s

soak: stage ## the long variants of the tests: cluster, and an installation killed after every change
	@$(RUN) --no-limit --clean-up cluster soak

venv: ## the pinned toolchain in .venv; installs what the machine lacks
	@tests/tools/bootstrap

stage: venv ## the copy of the collection that all checks use
	@.venv/bin/python tests/tools/stage.py

lock: venv ## requirements/*.txt anew from requirements/*.in
	@for name in dev uv go; do \
	    uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate \
	        $$([ $$name = dev ] || echo -c requirements/dev.txt) requirements/$$name.in -o requirements/$$name.txt; \
	done

format: venv ## python and Go sources in the common form
	@ruff check --fix --quiet . || true
	@ruff format --quiet .
	@cd tests/lab/src && gofmt -w .

clean: ## takes this checkout's labs down and removes .build; .venv and the cache of binaries stay
	@if [ -x .venv/bin/python ]; then .venv/bin/python tests/tools/run_parts.py --clean-up; fi
	@rm -rf .build

# --- the parts -------------------------------------------------------------------------------------------------------

part-lint:
	ruff check .
	yamllint --strict .
	vermin --quiet --no-tips --target=3.8- --violations plugins/modules plugins/module_utils
	cd $(STAGE) && ansible-lint --offline --nocolor
	python tests/tools/check_specs.py
	python tests/tools/role_readme.py
	python tests/tools/check_shell.py
	antsibull-changelog lint
	cd $(STAGE) && antsibull-docs lint-collection-docs --plugin-docs --skip-rstcheck .
	test -z "$$(cd tests/lab/src && gofmt -l . | tee /dev/stderr)"

part-sanity:
	tests/tools/sanity

part-unit:
	python -m pytest tests/unit --ignore tests/unit/plugins
	cd $(STAGE) && ansible-test units --python "$$(python -c 'import sys; print("%d.%d" % sys.version_info[:2])')" tests/unit/plugins/

part-docs:
	python tests/tools/role_readme.py
	tests/tools/build_docs

part-build:
	tests/lab/bin/lab build

part-contract:
	python -m pytest tests/contract --numprocesses 2 --dist loadfile --no-loadscope-reorder

part-molecule:
	tests/tools/molecule_all
	tests/tools/molecule_all minio_host

part-e2e:
	python -m pytest tests/end_to_end -m "not soak" --ignore tests/end_to_end/test_cluster_life.py

part-cluster:
	tests/tools/molecule_all k3s_ha
	tests/tools/molecule_all clearml_ingress
	python -m pytest tests/end_to_end/test_cluster_life.py

part-soak:
	python -m pytest tests/end_to_end -m soak -s

part-demo:
	python tests/end_to_end/demo.py

part-bench:
	python tests/benchmarks/clearml_modules.py
	python tests/benchmarks/run.py

part-bench-k3s:
	python tests/benchmarks/k3s.py
