# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# The way in. Every target does its own set-up; what is already there is not made again.

.POSIX:
.SUFFIXES:
PYTHON3 = python3
SCENARIO =
CHANGED =
CHECK = $(PYTHON3) tools/check.py

# Bytecode is kept: without it every start of Ansible compiles itself anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup demo demo-down test lint format types unit docs pictures sanity units galaxy faults test-windows molecule bench images lock clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

setup: ## Make the virtual environment from the lock
	@$(PYTHON3) tools/bootstrap.py

demo: setup ## Start the demo fleet, harden it, and show what was proven
	@$(PYTHON3) tools/demo.py up

demo-down: ## Remove everything that `make demo` started
	@$(PYTHON3) tools/demo.py down

test: setup ## Run every check below, up to the first failure; CHANGED=1: only those of what you changed
	@$(CHECK) $(CHANGED:1=changed)

lint: setup ## Ruff, yamllint, ansible-lint, changelog and documentation
	@$(CHECK) lint

format: setup ## Fold the Python as `make lint` wants it
	@.venv/bin/ruff check --fix --quiet . ; .venv/bin/ruff format --quiet .

types: setup ## mypy
	@$(CHECK) types

unit: setup ## Unit and contract tests
	@$(CHECK) unit

docs: setup ## Documentation: lint it, build the site in .build/docs/html, check the links
	@$(CHECK) docs

pictures: ## Draw docs/pictures/*.svg from the text beside them, with Graphviz and the fonts of fonts-liberation
	@command -v dot >/dev/null || { echo "Graphviz is missing: install it (Debian: apt-get install graphviz fonts-liberation)."; exit 1; }
	@for text in docs/pictures/*.dot; do \
	  dot -Tsvg -Gid="sha256_$$(sha256sum <"$$text" | cut -c1-64)" "$$text" >"$${text%.dot}.svg" || exit 1; done

sanity: setup ## ansible-test sanity
	@$(CHECK) sanity

units: setup ## ansible-test units, on the lowest Python of managed hosts
	@$(CHECK) units

galaxy: setup ## Build the collection twice, install it, run Galaxy's importer
	@$(CHECK) galaxy

faults: setup ## A fault at every place in the code that changes something
	@$(CHECK) faults

test-windows: setup ## The Windows scripts in a real PowerShell, under Wine
	@$(CHECK) test-windows

molecule: setup ## Roles on real hosts: all scenarios, or SCENARIO=name
	@$(CHECK) molecule $(SCENARIO)

bench: setup ## What steady runs and requests cost, beside others
	@$(PYTHON3) bench/gateway.py
	@.venv/bin/python bench/audit_rules.py
	@PYTHONPATH=.build/collections .venv/bin/python bench/audit_log.py compare
	@.venv/bin/python bench/s3.py
	@PYTHONPATH=.build/collections .venv/bin/python bench/windows.py
	@.venv/bin/python bench/batch.py
	@PYTHONPATH=.build/collections .venv/bin/python bench/git_history.py
	@.venv/bin/python bench/git_push.py

images: ## Build the base images anew, with today's packages
	@$(PYTHON3) tools/image.py --rebuild

lock: ## Resolve the dependencies anew, to the newest versions
	@$(PYTHON3) tools/bootstrap.py lock --upgrade

clean: ## Remove all that was built here; stop the engine if it is ours
	@$(PYTHON3) tools/vm.py down
	@$(PYTHON3) tests/windows/wine.py down
	@$(PYTHON3) tools/engine.py sweep
	@$(PYTHON3) tools/image.py --remove
	@$(PYTHON3) tools/engine.py stop
	rm -rf .build .venv .ansible .mypy_cache .pytest_cache .ruff_cache .hypothesis
