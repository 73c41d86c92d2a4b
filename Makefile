# The targets with a comment behind them are meant to be called; "make help" lists them.

TOOLS := -modfile=.ci/tools.mod
FUZZTIME ?= 30s

# The race detector needs a C compiler; without one the tests run without it.
RACE := $(if $(shell [ "$$(go env CGO_ENABLED)" = 1 ] && command -v "$$(go env CC)" 2>/dev/null),-race)

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "%-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## build the command, bin/redrpc
	go build -o bin/redrpc ./cmd/redrpc

man: ## write the manual pages, bin/man/*.1
	go run ./cmd/redrpc man bin/man

# Tests that mostly wait run at once, 8 of a package. The packages that take longest come first.
PACKAGES := -p 3 -parallel 8 ./rpc ./broker ./cmd/... ./bench/... ./...

# The flows mostly wait, so many run at once.
SYSTEMS := cd broker/systems && go test -shuffle=on -parallel 16 -timeout 8m

test: ## run the tests, and say which suites this machine has to leave out
	go test $(RACE) -shuffle=on -timeout 11m $(PACKAGES)
	cd results/peers && go test $(RACE) -shuffle=on -timeout 1m ./...
	@.ci/left-out

race: ## run the tests under the race detector, which needs a C compiler
	go test -race -shuffle=on -timeout 11m $(PACKAGES)

lint: ## check formatting, vet and staticcheck
	@unformatted=$$(gofmt -l .); test -z "$$unformatted" || { echo "gofmt would change: $$unformatted"; exit 1; }
	go mod verify
	go vet ./...
	GOOS=windows go build ./...
	GOOS=darwin go build ./...
	GOARCH=386 go vet ./...
	GOARCH=arm go build ./...
	go tool $(TOOLS) staticcheck ./...
	cd results/peers && go vet ./...
	cd broker/systems && go vet ./...

check: lint test ## all that has to pass before a change lands

fuzz: ## fuzz every parser for FUZZTIME (30s) each
	@grep -rhoE '^func Fuzz\w+' --include='*_test.go' -H . | sed 's|/[^/]*_test.go:func | |' | sort -u | \
	while read -r dir name; do \
		echo "$$dir $$name"; go test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 200x "$$dir" || exit 1; \
	done

bench: ## run the Go benchmarks
	go test -run '^$$' -bench . -benchmem ./...

# What npm installs for the flows in Node, anew when the list has changed.
NODE := broker/systems/testdata/node
NODE_MODULES := $(NODE)/node_modules/.package-lock.json

$(NODE_MODULES): $(NODE)/package-lock.json
	cd $(NODE) && npm ci

systems systems-quick: $(if $(shell command -v npm),$(NODE_MODULES))

systems: ## run programs that use Redis on redis-server and on the broker, and list the commands of each
	$(SYSTEMS) -count=1 -v ./...

systems-quick: ## run these programs on the broker only
	$(SYSTEMS) -count=1 -short ./...

differential: ## compare the broker with redis-server over 1,000,000 random commands, or more until it has seen all
	GOGC=800 go test ./broker -run '^TestDifferential$$' -v -timeout 1h -differential.commands 1000000

results: ## measure the broker beside redis-server and miniredis: results/broker.md (QUICK=1: a look, in bin)
	cd results/peers && go build -o ../../bin/peers . && ../../bin/peers $(if $(QUICK),-quick -out ../../bin)

calls: ## measure calls beside the original's algorithm and NATS: results/rpc.md (QUICK=1: a look, in bin)
	cd results/peers && go build -o ../../bin/peers . && ../../bin/peers -calls $(if $(QUICK),-quick -out ../../bin)

generator: ## measure the load generator, also beside redis-benchmark: results/bench.md (QUICK=1: a look, in bin)
	cd results/peers && go build -o ../../bin/peers . && ../../bin/peers -generator $(if $(QUICK),-quick -out ../../bin)

transcripts: ## write what redis-server answers into the broker's transcripts and scripts, and the command list
	go test ./broker -run 'TestTranscripts/redis|TestCommandList' -update
	go test ./broker/internal/lualib -run TestScripts/redis -update
	go test ./broker/internal/lua -run TestSnippetsOnRedis -update

.PHONY: help build man test race lint check fuzz bench systems systems-quick differential results calls generator transcripts
