.DEFAULT_GOAL := help
.PHONY: help setup dev run test check

help: ## Show these commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 26

setup: ## Make .venv/bin/verilayer (locked dependencies, native extension)
	@.ci/setup runtime

dev: ## The same with everything that tests and checks need
	@.ci/setup dev

run: setup ## Start the whole service on an embedded default
	@.venv/bin/verilayer up

test: dev ## Install what tests need and run them all
	@.ci/test-packages
	@.venv/bin/python -m pytest $(PYTEST_ARGS)

check: dev ## Lint, format, strict types, import contracts
	@.ci/check
