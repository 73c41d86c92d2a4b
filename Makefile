# The targets with a comment behind them are meant to be called; "make help" lists them.

TOOLS := -modfile=.ci/tools.mod
FUZZTIME ?= 30s
SEED ?= 0

# The race detector needs a C compiler; without one the tests run without it.
RACE := $(if $(shell [ "$$(go env CGO_ENABLED)" = 1 ] && command -v "$$(go env CC)" 2>/dev/null),-race)

help: ## list the targets
	@while IFS= read -r line; do case $$line in [a-z]*:*' ## '*) \
		printf '%-13s %s\n' "$${line%%:*}" "$${line#* ## }";; esac; done <$(firstword $(MAKEFILE_LIST))

build: ## build the command, bin/redrpc
	go build -o bin/redrpc ./cmd/redrpc

man: ## write the manual pages, bin/man/*.1
	go run ./cmd/redrpc man bin/man

# The packages that start no goroutine, neither in themselves nor in their tests: the race
# detector would find nothing, and triples their time. The others are the rest.
SEQUENTIAL := ./bench/stats ./internal/figure $(addprefix ./broker/internal/,acl alarm command dict geohash glob \
	hyperloglog keyspace lua lualib rdb resp script types/...)
CONCURRENT = $(filter-out $(shell go list $(SEQUENTIAL)),$(shell go list ./...))

# The slowest packages come first. Tests that mostly wait run in parallel, 8 per package.
FIRST := ./rpc ./broker ./cmd/...
# Without vet, which is part of "make lint".
TEST := go test -vet=off -shuffle=on -timeout 11m -p 3 -parallel 8

# Under the race detector a program ends at once, not after a second.
export GORACE := atexit_sleep_ms=10 $(GORACE)

# The flows mostly wait, so many run at once.
SYSTEMS := cd broker/systems && go test -shuffle=on -parallel 16 -timeout 8m

test: ## run the tests, and say which suites this machine has to leave out
	@status=0; run() { echo "$$*"; "$$@" || status=1; }; \
	run $(TEST) $(SEQUENTIAL); \
	run $(TEST) $(RACE) $(FIRST) $(CONCURRENT); \
	cd results/peers && run $(TEST) $(RACE) ./...; cd ../..; \
	.ci/left-out || status=1; \
	exit $$status

race: ## run all tests under the race detector, which needs a C compiler
	$(TEST) -race $(FIRST) ./...

# Vet and staticcheck use the packages as the tests compile them, with the race detector. Types for
# other systems are checked from source, which compiles nothing.
lint: ## check formatting, vet and staticcheck, and the types for other systems
	@unformatted=$$(gofmt -l .); test -z "$$unformatted" || { echo "gofmt would change: $$unformatted"; exit 1; }
	go mod verify
	go vet $(RACE) ./...
	GOFLAGS="$$GOFLAGS $(RACE)" $$(go tool $(TOOLS) -n staticcheck) ./...
	go run $(TOOLS) ./.ci/typecheck windows/amd64 darwin/arm64 linux/386 linux/arm
	cd results/peers && go vet $(RACE) ./...
	cd broker/systems && go vet $(RACE) ./...
	@! grep -nE '^[^/]*([[:space:]]go (func|\w+[.(])|\.Go\(|RunParallel)' $$(go list -f '{{$$d := .Dir}}{{range .GoFiles}}{{$$d}}/{{.}} {{end}}{{range .TestGoFiles}}{{$$d}}/{{.}} {{end}}{{range .XTestGoFiles}}{{$$d}}/{{.}} {{end}}' $(SEQUENTIAL)) /dev/null || \
		{ echo "a package of SEQUENTIAL in the Makefile starts a goroutine"; exit 1; }

audit: ## look for unsafe code (gosec, staticcheck) and for known vulnerabilities (govulncheck)
	.ci/audit

check: lint test ## all that has to pass before a change lands

fuzz: ## fuzz every parser for FUZZTIME (30s) each
	@grep -rhoE '^func Fuzz\w+' --include='*_test.go' -H . | sed 's|/[^/]*_test.go:func | |' | sort -u | \
	while read -r dir name; do \
		echo "$$dir $$name"; go test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 200x "$$dir" || exit 1; \
	done

bench: ## run the Go benchmarks
	go test -run '^$$' -bench . -benchmem ./...

# What npm installs for the flows in Node; installed again when the list has changed.
NODE := broker/systems/testdata/node
NODE_MODULES := $(NODE)/node_modules/.package-lock.json

$(NODE_MODULES): $(NODE)/package-lock.json
	cd $(NODE) && npm ci

systems systems-quick: $(if $(shell command -v npm),$(NODE_MODULES))

systems: ## run programs that use Redis on redis-server and on the broker, and list the commands of each
	$(SYSTEMS) -count=1 -v ./...

systems-quick: ## run these programs on the broker only
	$(SYSTEMS) -count=1 -short ./...

differential: ## compare the broker with redis-server over 1,000,000 random commands, or more, until each command has ended in each way
	GOGC=800 go test ./broker -run '^TestDifferential$$' -v -timeout 2h -differential.commands 1000000 -differential.servers 3

torture: ## inject faults into Redis, servers, clients and the network for DURATION (2m), and check every call: bin/torture/SEED/report.md
	go build -o bin/redrpc ./cmd/redrpc
	go test ./internal/torture -run '^TestTorture$$' -v -count=1 -timeout 12h -torture.duration $(or $(DURATION),2m) \
		-torture.seed $(SEED) -torture.out $(CURDIR)/bin/torture -torture.redrpc $(CURDIR)/bin/redrpc

results: ## measure the broker beside redis-server and miniredis: results/broker.md (QUICK=1: a short run, into bin)
	cd results/peers && go build -o ../../bin/peers . && ../../bin/peers $(if $(QUICK),-quick -out ../../bin)

calls: ## measure calls beside the original's algorithm and NATS: results/rpc.md (QUICK=1: a short run, into bin)
	cd results/peers && go build -o ../../bin/peers . && ../../bin/peers -calls $(if $(QUICK),-quick -out ../../bin)

generator: ## measure the load generator, also beside redis-benchmark: results/bench.md (QUICK=1: a short run, into bin)
	cd results/peers && go build -o ../../bin/peers . && ../../bin/peers -generator $(if $(QUICK),-quick -out ../../bin)

load: ## measure memory under extreme loads beside redis-server: results/load.md (ONLY=KEYS: only loads with this in their names)
	cd results/peers && go build -o ../../bin/peers . && ../../bin/peers -load -only "$(ONLY)"

# The soak test shows only whether something grows, so the machine may be busy.
soak: ## mixed load and faults for DURATION (30m), during which nothing may grow: results/soak.md
	cd results/peers && go build -o ../../bin/peers . && nice -n 10 ../../bin/peers -soak $(or $(DURATION),30m) -seed $(SEED)

transcripts: ## write what redis-server answers into the broker's transcripts and scripts, and the command list
	go test ./broker -run 'TestTranscripts/redis|TestCommandList' -update
	go test ./broker/internal/lualib -run TestScripts/redis -update
	go test ./broker/internal/lua -run TestSnippetsOnRedis -update

.PHONY: help build man test race lint audit check fuzz bench systems systems-quick differential torture results calls generator load soak transcripts
