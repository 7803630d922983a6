# The daily commands. CI runs `.ci/run`, which calls the same targets.

GO        ?= go
STATICCHECK = $(GO) run honnef.co/go/tools/cmd/staticcheck@v0.8.2
FUZZTIME  ?= 10s

.PHONY: all test vet staticcheck race fuzz demo bench bench-durability simulate lifetime model money sweep crashes kill soak fmt

all: fmt vet test

# The test command of the README.
test:
	$(GO) test ./...

vet:
	$(GO) vet ./...

staticcheck:
	$(STATICCHECK) ./...

# Every package under the race detector, with the long suites in their short form.
race:
	$(GO) test -race -short ./...

# Each decoder's fuzzer for FUZZTIME.
fuzz:
	./test/fuzz.sh $(FUZZTIME)

demo:
	$(GO) run ./cmd/aedb demo

bench:
	$(GO) test -run '^$$' -bench . -benchmem ./...
	cd test/peers && $(GO) run . -short

# Many more random histories of the whole engine on one goroutine; AEDB_SEED=n
# begins with another seed.
simulate:
	AEDB_LONG=1 $(GO) test -count=1 -timeout 60m -v ./test/simulation/

# What checkpoints and recoveries cost, as the tables of docs/performance.md.
bench-durability:
	$(GO) run ./test/durability

# The crash-point and fault sweeps with every fate and every operation.
sweep:
	AEDB_LONG=1 $(GO) test -count=1 -timeout 60m -v ./test/crash/ ./recovery/

# Power loss at every operation of the script, for as many scripts and fates as
# there are seeds: some 35,000 recoveries each.
SEEDS ?= 1 2 3 4 5 6 7 8 9 10
crashes: SHELL := bash
crashes: .SHELLFLAGS := -o pipefail -c
crashes:
	@for seed in $(SEEDS); do \
		AEDB_SEED=$$seed AEDB_LONG=1 $(GO) test -count=1 -timeout 20m -v -run AnyOperation ./test/crash \
			| grep -E 'AEDB_SEED=|crash points|^(ok|FAIL|panic)' || exit 1; \
	done

# What each kind of mutation costs, as a table.
mutations:
	AEDB_LONG=1 $(GO) test -count=1 -v ./test/mutations/

# Four hundred stores through everything that can happen to one, in random order.
lifetime:
	AEDB_LONG=1 $(GO) test -count=1 -timeout 60m ./test/lifetime/

# Two hundred long histories of every kind of request against the model.
model:
	AEDB_LONG=1 $(GO) test -count=1 -timeout 60m ./test/model/

# Money moved in three ways, and requests repeated, across many crashes; prints what
# each way does in a second.
money:
	AEDB_LONG=1 $(GO) test -count=1 -timeout 30m -v ./test/money/ ./test/retry/

# SIGKILL in the middle of loads of real data: 20 times of an import, and 200 times
# of a process whose store is encrypted and signed, with keys that change.
kill:
	AEDB_LONG=1 $(GO) test -count=1 -timeout 30m -v ./test/import/ ./test/kill/

# Linearisability and load for longer.
soak:
	AEDB_LONG=1 $(GO) test -count=1 -timeout 60m -v ./test/history/

fmt:
	gofmt -l -w .
