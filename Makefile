# `make` lists the targets. SET chooses what `make setup` sees to.
GO    ?= go
SET   ?= board
TESTS ?= ./...

BUILD  = CGO_ENABLED=0 $(GO) build -trimpath -ldflags='-s -w'
MUTATE = $(GO) test -tags walldown -count=1 -timeout 20m -run '^TestMutations' -v

.PHONY: help up wordpress node-red setup go build board test test-short race lint check-fmt probe-mutations fuzz bench clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | while IFS="$$(printf '\t')" read -r t d; do printf '  make %-16s %s\n' "$$t" "$$d"; done

up: go ## start the notice board behind every wall
	@scripts/setup board
	@$(MAKE) --no-print-directory build board
	cd examples/board && ../../bin/ringwall up

wordpress: go ## start a real WordPress behind every wall
	@scripts/setup wordpress
	@$(MAKE) --no-print-directory build
	cd examples/wordpress && ../../bin/ringwall up

node-red: go ## start a real Node-RED behind every wall
	@scripts/setup node-red
	@$(MAKE) --no-print-directory build
	cd examples/node-red && ../../bin/ringwall up

setup: ## install what is missing: SET=board, wordpress, node-red, test or bench
	@scripts/setup $(SET)

go:
	@GO=$(GO) scripts/check-go

build: go ## build bin/ringwall, one static binary
	$(BUILD) -o bin/ringwall ./cmd/ringwall

board: go
	$(BUILD) -o examples/board/site/board ./examples/board

test: go lint race probe-mutations ## everything that CI runs

test-short: go ## the tests that need no real apps and no long waits
	$(GO) test -short -timeout 10m $(TESTS)

race: build board ## all tests with the race detector
	$(GO) test -race -timeout 25m $(TESTS)

lint: check-fmt ## gofmt, vet and staticcheck
	$(GO) vet ./...
	$(GO) vet -tags walldown ./...
	$(GO) tool staticcheck ./...

check-fmt:
	@files=$$(gofmt -l $$(git ls-files --cached --others --exclude-standard '*.go')); \
	if [ -n "$$files" ]; then echo "not formatted; run gofmt -w on:" >&2; echo "$$files" >&2; exit 1; fi

probe-mutations: go ## take every wall down in turn: each probe must see it
	@dirs=$$(git grep --untracked -l '^func TestMutations' -- '*_test.go' | xargs -r -n1 dirname | sort -u | sed 's|^|./|'); \
	if [ -z "$$dirs" ]; then echo "NOT RUN: there is no TestMutations" >&2; exit 1; fi; \
	echo $(MUTATE) $$dirs; $(MUTATE) $$dirs

fuzz: go ## run the fuzz targets: FUZZTIME=20s FUZZMAX=10
	@GO=$(GO) scripts/fuzz

bench: go ## measure, side by side with the peers: BENCH='-write cpu'
	$(GO) run ./bench $(BENCH)

clean: ## remove what was built; sites keep their state
	rm -rf bin dist examples/board/site/board
