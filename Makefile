.DEFAULT_GOAL := help
# Two processes on two cores; tests that share something expensive name an xdist_group.
PYTEST_ARGS ?= -n auto --dist loadgroup --durations=20
.PHONY: chaos differential bench-dedup help setup dev run demo test check house images manifests docs bench bench-webhooks conformance conformance-registry fuzz mutants

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

manifests: dev ## Render the chart into the kustomize base and overlays
	@.ci/render-manifests

house: dev ## What a stranger meets, in figures: sizes, names stated twice, errors untold, arrows
	@.venv/bin/python -m tests.house

images: dev ## Build both container images with buildah, without an engine (root)
	@.ci/packages buildah debootstrap
	@.ci/build-images .cache/images

docs: dev ## Write the generated pages and build the site into site/
	@.venv/bin/python .ci/render-cli-reference > docs/cli.md
	@.venv/bin/python .ci/render-metrics-reference
	@.venv/bin/python .ci/render-architecture
	@.venv/bin/python .ci/render-profiles-reference > docs/profiles.md
	@.venv/bin/python .ci/render-catalog-tables
	@.venv/bin/python .ci/render-configuration > docs/configuration.md
	@.venv/bin/python .ci/render-configuration --schema > docs/verilayer.schema.json
	@NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs build --strict

demo: setup ## The main job on a real registry and image, shown layer by layer
	@.ci/packages docker-registry skopeo busybox-static
	@.venv/bin/verilayer demo

bench: dev ## Side-by-side benchmark against mkfs.erofs + veritysetup (out/bench.json, out/bench.png)
	@.ci/packages zstd cryptsetup-bin && .ci/get-erofs-utils .cache/erofs-utils
	@.venv/bin/python -m tests.bench.bench $(BENCH_ARGS)
	@$(MAKE) --no-print-directory bench-webhooks

bench-webhooks: dev ## Latency of the webhook endpoint at 500 deliveries a second
	@.ci/packages redis-server
	@.venv/bin/python tests/bench/webhooks.py $(WEBHOOK_BENCH_ARGS)

demo-node: dev ## See a container start from verified layers on a real containerd (root)
	@.ci/packages docker-registry runc busybox-static && .ci/get-containerd
	@.venv/bin/python -m tests.bench.nodestart

bench-node: dev ## Cold start of a container, with and without verilayer (out/bench-node.json, .png; root)
	@.ci/packages docker-registry runc zstd && .ci/get-erofs-utils .cache/erofs-utils && .ci/get-containerd
	@.venv/bin/python -m tests.bench.node $(BENCH_NODE_ARGS)

conformance: dev ## Vectors, random archives and real layers against the real mkfs.erofs, in figures
	@.ci/packages zstd && .ci/get-erofs-utils .cache/erofs-utils
	@.venv/bin/python -m tests.conformance.report

differential: dev ## Compare indexes with what containerd unpacks, over random archives (DIFFERENTIAL_ARGS)
	@.ci/get-tarview
	@.venv/bin/python -m tests.differential.report $(DIFFERENTIAL_ARGS)

mutants: dev ## Mutation testing of the modules that decide trust (MUTANTS='app.webhooks*' for some)
	@.venv/bin/python -m pip install -q --disable-pip-version-check --require-hashes -r locks/mutants.txt
	@.venv/bin/python -m tests.mutants $(MUTANTS)

fuzz: dev ## Coverage-guided fuzzing of every parser, SECONDS=60 for each
	@.venv/bin/python -m tests.fuzz.run --seconds $(or $(SECONDS),60)
	@.venv/bin/python tests/fuzz/webhook_parsers.py all -max_total_time=$(or $(SECONDS),60)

interop: dev ## Print which independent readers accept which of our formats
	@.ci/test-packages
	@.venv/bin/python -m tests.interop

conformance-registry: dev ## Registry client: operations, faults, races and a 5 GB flaky link, as tables
	@.ci/test-packages
	@.venv/bin/python -m tests.support.registryreport $(REPORT_ARGS)

chaos: dev ## Kill workers and broker under load, count at the end (CHAOS_ARGS; ten minutes)
	@.ci/test-packages
	@.venv/bin/python -m tests.chaos.chaos $(CHAOS_ARGS)

bench-dedup: dev ## 200 images over shared bases: what layer deduplication saves
	@.ci/test-packages
	@.venv/bin/python -m tests.bench.dedup $(BENCH_ARGS)
