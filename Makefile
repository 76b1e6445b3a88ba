# The project's commands. `make help` lists them.
#
# `make run` builds debug: the first build takes about five minutes on two cores where an optimised one takes ten, and
# the difference is not heard in a few calls. `make run CONFIG=release` runs what one would install.

CONFIG ?= debug
FUZZ_SECONDS ?= 600
FUZZ_TARGETS ?= FuzzSIP FuzzSDP FuzzRTP FuzzRTCP FuzzPayload FuzzFrames FuzzRouter FuzzSTUN FuzzDCEP FuzzSCTP FuzzSignal
STRICT = --explicit-target-dependency-import-check error
SWIFT_SOURCES = Sources Tests Package.swift

.DEFAULT_GOAL := help
.PHONY: help run build release test demo lint format tsan asan fuzz bench setup clean

help: ## Lists the commands
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 18

run: ## Installs what is missing, builds, starts with embedded defaults and prints the address (CONFIG=release: optimised)
	@scripts/setup build
	@swift build -c $(CONFIG) --product parley
	@exec "$$(swift build -c $(CONFIG) --show-bin-path)/parley" serve $(ARGS)

build: ## Builds everything, tests included, warnings as errors
	@scripts/setup build
	PARLEY_STRICT=1 swift build --build-tests $(STRICT)

release: ## Builds the optimised binary and prints its path
	@scripts/setup build
	swift build -c release --product parley
	@echo "$$(swift build -c release --show-bin-path)/parley"

test: ## Runs everything: lint, import check, unit tests, web checks, and the end-to-end suite with real peers
	@python3 scripts/test.py

demo: ## Runs the main job once with no person present and prints what was heard and the call record
	@scripts/setup test
	@swift build -c $(CONFIG) --product parley
	@PARLEY_BIN="$$(swift build -c $(CONFIG) --show-bin-path)/parley" .venv/bin/python scripts/demo.py

lint: ## Checks the format of the Swift sources
	swift format lint --strict --recursive --configuration .swift-format $(SWIFT_SOURCES)

format: ## Formats the Swift sources in place
	swift format format --in-place --recursive --configuration .swift-format $(SWIFT_SOURCES)

tsan: ## Unit tests under ThreadSanitizer
	@scripts/setup build
	swift test --sanitize=thread --scratch-path .build-tsan

asan: ## Unit tests under AddressSanitizer
	@scripts/setup build
	ASAN_OPTIONS=detect_leaks=0 swift test --sanitize=address --scratch-path .build-asan

fuzz: ## Fuzzes each parser for FUZZ_SECONDS (600) seconds; FUZZ_TARGETS names fewer
	@scripts/setup build
	@for target in $(FUZZ_TARGETS); do Tests/Fuzz/run $$target $(FUZZ_SECONDS) || exit 1; done

bench: ## Benchmarks beside Kamailio and rtpengine in the same run (ARGS=--smoke: a short check)
	@scripts/setup bench
	@swift build -c release --product parley
	@PARLEY_BIN="$$(swift build -c release --show-bin-path)/parley" .venv/bin/python Benchmarks/run.py $(ARGS)

setup: ## Installs what the build, the tests and the benchmarks need
	@scripts/setup bench

clean: ## Removes what was built
	rm -rf .build .build-tsan .build-asan Benchmarks/.build Tests/Fuzz/.build .venv
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
