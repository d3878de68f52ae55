# pggraft: what a new machine needs is installed by these targets (apt, PyPI); they end by themselves and leave nothing behind.
#   make demo         a three-node Spock cluster under load, a fourth node seeded into it, the proof
#   make demo-standby a hot standby of a loaded primary: built, made synchronous, switched over to, the proof
#   make demo-datanode  slaves of the datanodes of a loaded Postgres-XC cluster, a failover with ALTER NODE, the old master back; PGGRAFT_XC_BINDIR: the real one
#   make test         all tests; what took longest, what was skipped and why
#   make lint         the form of every Swift file, by .swift-format
#   make shell        the demo's cluster, left to you: type the commands yourself
#   make bench        what pggraft adds to pgBackRest and pg_basebackup by hand, as a ratio; the window, check and a run near and far, in round trips, and
#                     a switchover and a datanode's failover beside one by hand; a pg_hba.conf of 10,000 lines explained; commands on 32 hosts, beside ssh and Ansible.
#                     A part: make bench PART=window, PART=standby, PART=switchover, PART=handover, PART=status, PART='window distance logins'
#   make test-faults  the whole matrix of kills and faults, as a table (four hours); DISTANCE=80: with the operator 80 ms away
#   make test-fuzz    a million generated configuration files (and values), compared with what PostgreSQL 15, 16 and 18 say of them (forty minutes)
#   make build        the release binary: .build/release/pggraft

SHELL := /bin/bash
SWIFT ?= swift
export SWIFT_BACKTRACE = enable=no

.PHONY: build lint test tests-on-bed tests-beside-and-faults demo demo-standby demo-datanode shell bench test-faults test-fuzz packages clean

packages:
	@fixtures/install

build: packages
	$(SWIFT) build -c release --product pggraft

lint:
	$(SWIFT) format lint --strict --parallel --recursive Package.swift Sources Tests fixtures

# Two lanes of tests at once: those on a bed wait a lot. What the others say comes as a whole, when they are through; then that lane has a bed, too.
STREAMS := .build/test-streams
run = $(SWIFT) test --skip-build --ignore-lock --event-stream-version 0 --event-stream-output-path $(STREAMS)/$(1).jsonl
on_bed := '^(BedTests|EndToEndTests|FaultTests)\.'

test: packages
	$(SWIFT) build --build-tests
	@rm -rf $(STREAMS) && mkdir -p $(STREAMS)
	@status=0; $(MAKE) --no-print-directory --keep-going --jobs=2 tests-on-bed tests-beside-and-faults || status=$$?; \
	.build/debug/test-report $(STREAMS)/*.jsonl || status=$$?; exit $$status

tests-on-bed:
	@$(call run,on-bed) --filter '^(BedTests|EndToEndTests)\.'

tests-beside-and-faults:
	@status=0; $(call run,beside) --skip $(on_bed) >$(STREAMS)/beside.log 2>&1 || status=$$?; cat $(STREAMS)/beside.log; \
	$(call run,faults) --filter '^FaultTests\.' || status=$$?; exit $$status

demo: packages
	$(SWIFT) build
	.build/debug/pggraft-bed demo

demo-standby: packages
	$(SWIFT) build
	.build/debug/pggraft-bed demo-standby

demo-datanode: packages
	$(SWIFT) build
	.build/debug/pggraft-bed demo-datanode

shell: packages
	$(SWIFT) build
	.build/debug/pggraft-bed shell

bench: packages
	@fixtures/ansible
	$(SWIFT) build -c release
	.build/release/pggraft-bed bench $(PART)

test-faults: packages
	$(SWIFT) build --build-tests
	@rm -f .build/faults
	@status=0; PGGRAFT_FAULTS=all PGGRAFT_DISTANCE=$(DISTANCE) PGGRAFT_FAULTS_TABLE=$(CURDIR)/.build/faults $(SWIFT) test --skip-build --filter FaultTests || status=$$?; \
	echo; cat .build/faults; exit $$status

# Files for each server and each kind of file. A failure names the seed to see it again with: PGGRAFT_FUZZ_SEED.
PGGRAFT_FUZZ ?= 300000

test-fuzz: packages
	$(SWIFT) build --build-tests
	PGGRAFT_FUZZ=$(PGGRAFT_FUZZ) $(SWIFT) test --skip-build --filter 'PostgresConfigTests.*(ServerTests|FuzzTests)'

clean:
	rm -rf .build
