# `make` lists the targets. SET chooses what `make setup` sees to.
GO    ?= go
SET   ?= board
TESTS ?= ./...

BUILD  = CGO_ENABLED=0 $(GO) build -trimpath -ldflags='-s -w'
SETUP  = internal/sandbox/setup
MUTATE = $(GO) test -tags walldown -count=1 -timeout 20m -run '^TestMutations' -v

.PHONY: help up wordpress node-red setup go build board cross test test-short race lint vuln check-fmt probe-mutations check-mutations verify-aws fuzz waf-differential bench clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | while IFS="$$(printf '\t')" read -r t d; do printf '  make %-16s %s\n' "$$t" "$$d"; done

up: go ## start the notice board behind every wall
	@scripts/setup board
	@$(MAKE) --no-print-directory build board
	bin/ringwall up -c examples/board/ringwall.yaml

wordpress: go ## start a real WordPress behind every wall
	@scripts/setup wordpress
	@$(MAKE) --no-print-directory build
	bin/ringwall up -c examples/wordpress/ringwall.yaml

node-red: go ## start a real Node-RED behind every wall
	@scripts/setup node-red
	@$(MAKE) --no-print-directory build
	bin/ringwall up -c examples/node-red/ringwall.yaml

setup: ## install what is missing: SET=board, wordpress, node-red, aws, test or bench
	@scripts/setup $(SET)

go:
	@GO=$(GO) scripts/check-go

build: go ## build bin/ringwall, one static binary
	GOOS=linux $(BUILD) -o $(SETUP)/setup ./$(SETUP)
	$(BUILD) -tags smallsetup -o bin/ringwall ./cmd/ringwall

cross: go ## build for the other systems: arm64, and the commands that need no sandbox on macOS
	CGO_ENABLED=0 GOOS=linux GOARCH=arm64 $(GO) build -o /dev/null ./cmd/ringwall
	CGO_ENABLED=0 GOOS=darwin GOARCH=arm64 $(GO) build -o /dev/null ./cmd/ringwall

board: go
	$(BUILD) -o examples/board/site/board ./examples/board

test: go ## everything that CI runs, stage by stage with its time
	@scripts/test

test-short: go ## the tests that need no real apps and no long waits, for daily work
	$(GO) test -short -timeout 10m $$($(GO) list $(TESTS) | grep -v /examples/e2e$$)

race: build board ## all tests with the race detector
	$(GO) test -race -timeout 25m $(TESTS)

lint: check-fmt ## gofmt, vet, staticcheck, and no test that skips
	@if git grep --untracked -nE '\b[tb]\.Skip(f|Now)?\(' -- '*_test.go'; then echo "these tests skip; end them with Fatal and NOT RUN" >&2; exit 1; fi
	$(GO) vet ./...
	$(GO) vet -tags walldown ./...
	$(GO) tool staticcheck ./...

vuln: ## known vulnerabilities in what the program calls
	@out=$$($(GO) tool govulncheck ./... 2>&1); code=$$?; echo "$$out"; \
	if [ $$code -ne 0 ] && echo "$$out" | grep -qE 'dial tcp|no such host|connection refused|403 Forbidden|fetching vulnerabilities'; then \
		echo "the vulnerability database cannot be reached from here: known vulnerabilities were not looked for"; exit 0; fi; exit $$code

check-fmt:
	@files=$$(gofmt -l $$(git ls-files --cached --others --exclude-standard '*.go')); \
	if [ -n "$$files" ]; then echo "not formatted; run gofmt -w on:" >&2; echo "$$files" >&2; exit 1; fi

probe-mutations: go ## take every wall down in turn: each probe must see it
	@dirs=$$(git grep --untracked -l '^func TestMutations' -- '*_test.go' | xargs -r -n1 dirname | sort -u | sed 's|^|./|'); \
	if [ -z "$$dirs" ]; then echo "NOT RUN: there is no TestMutations" >&2; exit 1; fi; \
	echo $(MUTATE) $$dirs; $(MUTATE) $$dirs

verify-aws: go ## judge the templates of many sites with tools that are not ours: PROOF='-v'
	@scripts/setup aws
	$(GO) run ./proof $(PROOF)

check-mutations: go ## break every promise of the templates in turn: each check must see it
	@out=$$($(GO) test -count=1 -timeout 10m -run '^TestCheckMutations$$' -v ./verify/mutations); code=$$?; \
	echo "$$out" | grep -vE '^(=== |--- PASS|PASS|ok)'; exit $$code

fuzz: go ## run the fuzz targets: FUZZTIME=20s FUZZMAX=10
	@GO=$(GO) scripts/fuzz

waf-differential: go ## compare the rule engine with Coraza on 100,000 requests: WAF_REQUESTS, WAF_SEED
	WAF_REQUESTS=$${WAF_REQUESTS:-100000} $(GO) test -count=1 -timeout 3h -run '^Test(Stages|Generated|Odd|AnyRules|AtLimits|Regression)$$' -v ./waf/difftest

bench: go ## measure, side by side with the peers: BENCH='-write cpu'
	$(GO) run ./bench $(BENCH)

clean: ## remove what was built; sites keep their state
	rm -rf bin dist examples/board/site/board
