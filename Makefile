# Everything a developer does, by name. `make test` is what must pass before a change
# lands; it installs what it needs where it may.

GO      ?= go
# How long `make fuzz` runs each target.
FUZZTIME ?= 1m

.PHONY: test lint unit allocations cross e2e long-call fuzz bench bench-peers deps lab-rounds

test: deps lint unit allocations cross e2e

# The browsers and the clients of others that the tests speak to. Debian's packages are
# installed by root only; elsewhere the tests that lack one say so and fail.
deps:
	./testdata/install-test-tools

lint:
	@unformatted=$$($(GO) tool gofumpt -l $$(git ls-files '*.go')); \
	if [ -n "$$unformatted" ]; then echo "not gofumpt-formatted:"; echo "$$unformatted"; exit 1; fi
	$(GO) vet ./...
	$(GO) tool staticcheck ./...

# Tests that lack what they need fail here; under plain `go test` they are skipped.
unit:
	HAIRPIN_TEST_FULL=1 $(GO) test -race -timeout 15m ./...

# What must not allocate is only measured without the race detector, and floods have
# their full size only without it.
allocations:
	HAIRPIN_TEST_FULL=1 $(GO) test -run 'Alloc|Flood|Strangers' ./...

# The other platforms build, tests and all.
cross:
	GOOS=darwin GOARCH=arm64 $(GO) vet ./...
	GOOS=windows $(GO) vet ./...

e2e:
	$(GO) build -o bin/hairpin ./cmd/hairpin
	cd web/e2e && npm ci --no-audit --no-fund --loglevel=error && npx tsc -p . && \
	HAIRPIN_TEST_FULL=1 HAIRPIN_BIN=$(CURDIR)/bin/hairpin npm test

# A call of two minutes with credentials that last half of one.
long-call:
	$(GO) build -o bin/hairpin ./cmd/hairpin
	cd web/e2e && npm ci --no-audit --no-fund --loglevel=error && HAIRPIN_LONG_CALL=120 HAIRPIN_TEST_FULL=1 \
	HAIRPIN_BIN=$(CURDIR)/bin/hairpin node --test --test-name-pattern='renewed through' recover.test.js

fuzz:
	@set -e; for package in $$($(GO) list ./...); do \
		for target in $$($(GO) test -list '^Fuzz' $$package | grep '^Fuzz' || true); do \
			echo "$$package $$target"; \
			$(GO) test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x $$package; \
		done; \
	done

# How often the probe is right behind the kernel's own NATs, without loss and with 5 %
# (needs root). `make unit` does two rounds of it.
lab-rounds: deps
	HAIRPIN_TEST_FULL=1 HAIRPIN_LAB_ROUNDS=20 $(GO) test ./cmd/hairpin -run 'TestProbeNATInEveryNetwork|TestProbeNATInSpiteOfLoss' -count=1 -v -timeout 30m

# Microbenchmarks, the cost of relaying beside Debian's coturn (needs root), and 5000
# WebSockets at once. HAIRPIN_BENCH_ROOMS makes them fewer, five a room.
bench: deps
	$(GO) test -run '^$$' -bench . -benchmem ./turnserver/...
	HAIRPIN_BENCH=1 $(GO) test ./turnserver/bench -run TestCost -v -timeout 30m
	HAIRPIN_BENCH=1 $(GO) test ./signaling -run TestFullLoad -count=1 -v

# What relaying costs the machine, in the kernel, in user space and by the servers of
# others, in one run (needs root, two processors and nothing else to do): writes the
# table of BENCHMARKS.md. HAIRPIN_BENCH_ROUNDS, HAIRPIN_BENCH_SECONDS and
# HAIRPIN_BENCH_SERVERS shorten it.
bench-peers: deps
	HAIRPIN_BENCH_PEERS=1 HAIRPIN_BENCH_OUT=$(CURDIR)/BENCHMARKS.md $(GO) test ./turnserver/bench -run TestPeers -v -timeout 90m
