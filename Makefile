# pggraft: what a new machine needs is installed by these targets (apt, PyPI); they end by themselves and leave nothing behind.
#   make demo         a three-node Spock cluster under load, a fourth node seeded into it, the proof
#   make test         all tests
#   make lint         the form of every Swift file, by .swift-format
#   make shell        the demo's cluster, left to you: type the commands yourself
#   make bench        what pggraft adds to pgBackRest by hand, as a ratio; the parts of the read-only window; a pg_hba.conf of 10,000 lines explained
#   make test-faults  the whole matrix of kills and faults, as a table (two hours)
#   make test-fuzz    a million generated configuration files (and values), compared with what PostgreSQL 15, 16 and 18 say of them (forty minutes)
#   make build        the release binary: .build/release/pggraft

SHELL := /bin/bash
SWIFT ?= swift
export SWIFT_BACKTRACE = enable=no

.PHONY: build lint test demo shell bench test-faults test-fuzz packages clean

packages:
	@fixtures/install

build: packages
	$(SWIFT) build -c release --product pggraft

lint:
	$(SWIFT) format lint --strict --parallel --recursive Package.swift Sources Tests fixtures

test: packages
	$(SWIFT) build --build-tests
	$(SWIFT) test --skip-build

demo: packages
	$(SWIFT) build
	.build/debug/pggraft-bed demo

shell: packages
	$(SWIFT) build
	.build/debug/pggraft-bed shell

bench: packages
	$(SWIFT) build -c release
	.build/release/pggraft-bed bench-explain
	.build/release/pggraft-bed bench

test-faults: packages
	$(SWIFT) build --build-tests
	@rm -f .build/faults
	@status=0; PGGRAFT_FAULTS=all PGGRAFT_FAULTS_TABLE=$(CURDIR)/.build/faults $(SWIFT) test --skip-build --filter FaultTests || status=$$?; \
	echo; cat .build/faults; exit $$status

# Files for each server and each kind of file. A failure names the seed to see it again with: PGGRAFT_FUZZ_SEED.
PGGRAFT_FUZZ ?= 300000

test-fuzz: packages
	$(SWIFT) build --build-tests
	PGGRAFT_FUZZ=$(PGGRAFT_FUZZ) $(SWIFT) test --skip-build --filter 'PostgresConfigTests.*(ServerTests|FuzzTests)'

clean:
	rm -rf .build
