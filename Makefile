# What one does with keepfast. `make` alone lists it.
#
# Everything here builds in the release profile, so that all dependencies are compiled once. RocksDB is compiled once
# for a machine, by scripts/rocksdb.sh. The program and the server are built and tested by themselves: together with the
# engine's tests they would get the engine in which these tests can plant faults.

SHELL := /bin/bash
export CARGO_TARGET_DIR ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/keepfast/target

# The crates above `operations`: each is compiled once, for the program's tests and its own. Those that don't know the
# engine stay with the others, which then ask for nearly the same features of what both depend on: that is compiled once.
PRODUCT := keepfast keepfast-http keepfast-server
PROGRAM := --release $(addprefix --package ,$(PRODUCT))
OTHERS := --release --workspace $(addprefix --exclude ,$(PRODUCT))
# The engine's libraries are tested with their `debug_assert!`s, and so that a number that overflows is a panic; the
# program is tested as it is shipped. No dependency is compiled a second time for this.
ASSERTING := $(foreach library,format backend engine operations,$(foreach check,debug-assertions overflow-checks,\
	--config profile.release.package.keepfast-$(library).$(check)=true))
# Seconds that each fuzz target runs.
FUZZ_SECONDS ?= 60
# Fuzz targets that `make fuzz` runs: names as `keepfast_fuzz::targets` has them.
FUZZ_TARGETS ?= all
# Cases of each property, mutations of each vector, and simulated histories, in `make soak`.
SOAK_CASES ?= 20000
# What `make soak` backs up, how often it kills that.
SOAK_TREE ?= /usr/share
SOAK_KILLS ?= 100
# What `make bench` runs: a part of the benchmarks' names.
BENCH ?=
# What `make bench-peers` measures: corpus directory, repetitions, tools.
PEERS_CORPUS ?= /usr/share
PEERS_RUNS ?= 3
PEERS ?= keepfast restic bupstash rustic borg
# Where results of benchmarks go.
BENCH_RUN ?= benches/runs/$(shell date +%F)

.PHONY: help setup setup-program build web test-web shots demo demo-web test lint fuzz soak bench bench-parts bench-peers bench-api

help: ## This list
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

setup: ## Install what a Debian 12 lacks; does nothing when all is there
	@scripts/setup.sh

setup-program: ## Install only what the program and the demo need
	@scripts/setup.sh program

build: setup-program web ## Build the program, with the dashboard inside: $CARGO_TARGET_DIR/release/keepfast
	cargo build $(PROGRAM)

web: ## Build the dashboard, which the program has inside
	@scripts/web.sh

demo: setup-program ## Back up a real tree twice, restore it, compare, check
	@scripts/demo.sh

demo-web: setup-program web ## The same, and then a server with all of it, to be looked at in a browser until Ctrl-C
	@scripts/demo.sh web

# All parts run, so that one run tells all. The dashboard is tested with the program that the first part has built.
define nextest
failed=0; \
cargo nextest run $(PROGRAM) --no-fail-fast $(1) || failed=1; \
scripts/web.sh test || failed=1; \
cargo nextest run $(OTHERS) $(ASSERTING) --no-fail-fast $(1) || failed=1; \
exit $$failed
endef

test-web: setup build ## Test the dashboard in a browser, by itself and with the program
	@scripts/web.sh test

shots: web ## Pictures of all pages of the dashboard, into web/shots
	cd web && npm run --silent shots

# Doc tests first, so that the summary of the test runner comes last.
test: setup web ## Run all tests
	@if grep -rqE '^ *//[/!] ```(rust.*)?$$' --include='*.rs' */src */*/src; then cargo test $(PROGRAM) --doc && cargo test $(OTHERS) $(ASSERTING) --doc; fi
	@$(call nextest)

lint: setup ## Check formatting and lints
	cargo fmt --check
	cargo clippy $(PROGRAM) --all-targets -- -D warnings
	cargo clippy $(OTHERS) --all-targets -- -D warnings
	scripts/web.sh check

fuzz: setup ## Fuzz the decoders: FUZZ_SECONDS=60 FUZZ_TARGETS="frame tree" (default: all)
	@scripts/fuzz.sh $(FUZZ_SECONDS) $(FUZZ_TARGETS)

soak: setup build ## All tests with SOAK_CASES=20000 cases of each property and as many simulated histories; SOAK_KILLS=100 killed backups of SOAK_TREE
	@export PROPTEST_CASES=$(SOAK_CASES) KEEPFAST_FUZZ_MUTATIONS=$(SOAK_CASES) KEEPFAST_SIM_HISTORIES=$(SOAK_CASES) KEEPFAST_SCHEDULE_HISTORIES=1000 KEEPFAST_LIFE_HISTORIES=1000 KEEPFAST_RACES_ORDERS=$(SOAK_CASES) KEEPFAST_API_EXAMPLES=500; \
	$(call nextest,--profile soak --run-ignored all)
	scripts/soak-kill.sh $(SOAK_TREE) $(SOAK_KILLS)

bench: bench-parts bench-peers ## Both of the next two, into BENCH_RUN=benches/runs/<date>

bench-parts: setup ## Run the benchmarks of the parts: BENCH=part-of-a-name
	@mkdir -p $(BENCH_RUN)
	cargo bench --profile release --package keepfast-benches --bench parts -- $(BENCH) | tee $(BENCH_RUN)/parts.txt

bench-peers: setup build ## Measure against installed peers: PEERS_CORPUS=/dir PEERS_RUNS=3 PEERS="keepfast restic"
	@mkdir -p $(BENCH_RUN)
	RESULTS=$(BENCH_RUN)/peers.tsv benches/run-peers.sh $(PEERS_CORPUS) $(PEERS_RUNS) $(PEERS)
	(echo "# Measured on $$(date +%F)"; echo; \
	 echo "$$(nproc) processors ($$(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -n 1)), $$(free -g | awk '/^Mem/ {print $$2}') GiB of memory," \
	      "Linux $$(uname -r); source $(PEERS_CORPUS), $(PEERS_RUNS) runs, work folder $${BENCH_WORK:-/var/tmp}."; \
	 benches/summarize.py $(BENCH_RUN)/peers.tsv $(BENCH_RUN)) > $(BENCH_RUN)/README.md
	@cat $(BENCH_RUN)/README.md

bench-api: setup build ## Measure what the pages ask for, with 100,000 runs, 50,000 snapshots and a folder of a million entries
	@mkdir -p $(BENCH_RUN)
	PATH=$(CARGO_TARGET_DIR)/release:$$PATH benches/bench-api.py | tee $(BENCH_RUN)/api.md
