# What a developer runs; `make` alone lists it. The checks of a change are all
# of them in one: bash .ci/run
#
# Needed: Go, git, gcc (for the race detector), make. Programs that only tests
# and checks use are pinned in the modules below tools/ and built once into
# .tools/bin; Redis and Chromium come from the operating system's
# packages, Azurite and axe-core from npm.

.DEFAULT_GOAL := help
BIN := .tools/bin
# Google's storage library has a second transport, gRPC, that is not used here;
# Snowflake's driver would load a native library to tell the vendor of the system.
LEAN := -tags disable_grpc_modules,minicore_disabled
AZURITE := .tools/azurite/node_modules/azurite/package.json
AXE := .tools/axe/node_modules/axe-core/package.json
INTEROP := .tools/interop/installed
SERVERS := $(BIN)/versitygw $(BIN)/toxiproxy-server $(BIN)/fake-gcs-server $(AZURITE) $(AXE)

##@ Every day

.PHONY: help
help: ## list the targets
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## build the one program, static, as bin/waybill
	CGO_ENABLED=0 go build $(LEAN) -trimpath -ldflags='-s -w' -o bin/waybill ./cmd/waybill

.PHONY: build-libzstd
build-libzstd: ## build it, static too, with zstd in C, which compresses Parquet a little faster
	CGO_ENABLED=1 go build $(LEAN),libzstd,netgo,osusergo -trimpath -ldflags='-s -w -extldflags=-static' -o bin/waybill ./cmd/waybill

.PHONY: sandbox
sandbox: ## run the whole system on this machine; ARGS='--once --dir OUT' passes flags
	go run ./cmd/sandbox $(ARGS)

# What tests make durable they keep in memory, where there is some: they would
# mostly wait for the disk. They wait for servers and leases too, so that more
# packages than there are cores run at a time. The race detector would sleep a
# second at the end of each process; Snowflake's driver would leave an empty
# folder behind for each. Packages of benchmarks alone are not
# linked, and `make vet` vets.
TESTING = memory=$$(tools/memory.sh) && export TMPDIR=$$memory GOTMPDIR=$${TMPDIR:-/tmp} GORACE=atexit_sleep_ms=0 SF_DISABLE_MINICORE=true &&
TEST = -vet=off -p 4 -timeout 20m
TESTS = {{$$dir := .Dir}}{{range .TestGoFiles}}{{$$dir}}/{{.}} {{end}}{{range .XTestGoFiles}}{{$$dir}}/{{.}} {{end}}
TESTED = $$(go list -f '$(TESTS)' ./... | xargs grep -lE '^func ((Test|Fuzz)\w+\(\w+ \*testing\.[TF]\)|Example)' | xargs -n 1 dirname | sort -u)

.PHONY: test
test: redis chromium prometheus $(SERVERS) ## run every test, on real servers, with the race detector
	go -C tools/compose test -count=1 ./...
	$(TESTING) go test -race $(TEST) $(TESTED)
	$(TESTING) tools/whole.sh $(TEST)
	$(TESTING) go test -tags libzstd $(TEST) ./formats ./formats/internal/zstd

.PHONY: whole
whole: redis ## run what tests do less of under the race detector, without it; a part of `make test`
	$(TESTING) tools/whole.sh $(TEST)

.PHONY: interop-sharing
interop-sharing: .tools/interop-sharing/installed $(BIN)/versitygw ## read shares with the protocol's own Python client
	go test -count=1 -v -tags interop -run Foreign ./warehouses/sharing

.PHONY: bench
bench: ## run the benchmarks; PKG=./formats one package's
	go test -run '^$$' -bench . -benchmem $(or $(PKG),./...)

.PHONY: bench-upload
bench-upload: $(BIN)/versitygw ## deliver a run of SIZE=1GB to an S3 gateway, in turns with the converter alone, both in memory
	TMPDIR=$(firstword $(wildcard /dev/shm) /tmp) go test ./bench/upload -run '^$$' -bench . -benchtime 1x -timeout 1h -size $(or $(SIZE),1GB) -rounds $(or $(ROUNDS),5)

.PHONY: bench-fleet
bench-fleet: redis ## deliveries per second against the bare queue, time to start, what an idle worker asks of Redis
	go test ./bench/fleet -run '^$$' -bench . -benchtime 1x -timeout 30m -measure

.PHONY: bench-snowflake
bench-snowflake: ## seconds until a customer sees a staged run in Snowflake, with LATENCY=50ms of each statement
	go test ./bench/snowflake -run '^$$' -bench . -benchtime 1x -timeout 10m -latency $(or $(LATENCY),50ms)

# In its folder, because of packages that are named Go shows only what fails.
.PHONY: chaos
chaos: redis $(SERVERS) ## break a fleet of real processes in fourteen ways, at full size; SEED=7 repeats a run, SCALE=0.1 makes it smaller
	go -C cmd/internal/chaos test -count=1 -timeout 3h -full -seed $(or $(SEED),0) -scale $(or $(SCALE),1)

.PHONY: bench-delta
bench-delta: $(INTEROP) $(BIN)/versitygw ## what a commit to a Delta table costs, writing beside delta-rs in turns, opening an old table, the sharing server
	TMPDIR=$(firstword $(wildcard /dev/shm) /tmp) go test ./bench/delta -run '^$$' -bench . -benchtime 3x -timeout 30m -rows $(or $(ROWS),1000000)
	go test ./warehouses/delta -run '^$$' -bench Open
	go test ./warehouses/sharing -run '^$$' -bench .

.PHONY: bench-convert
bench-convert: ## convert records of SIZE=1GB, in turns with DuckDB; ONLY='^Parquet' some of the works, LIBZSTD=1 with zstd in C
	go test ./bench/convert -run '^$$' -bench Convert -benchtime 1x -timeout 2h -size $(or $(SIZE),1GB) -rounds $(or $(ROUNDS),5) -only '$(ONLY)' $(if $(LIBZSTD),-libzstd)
	go test ./bench/convert -run '^$$' -bench Memory -benchtime 1x -timeout 2h -large $(or $(SIZE),1GB) $(if $(LIBZSTD),-libzstd)

.PHONY: bench-large
bench-large: ## convert 1, 10 and SIZE=20GB that are made on the fly, for their peak memory
	go test ./bench/convert -run '^$$' -bench Memory -benchtime 1x -timeout 6h -large $(or $(SIZE),20GB)

##@ Checks

.PHONY: interop
interop: $(INTEROP) ## let readers that none of us wrote read our files and our Delta tables
	go test -count=1 -v ./formats -run 'DuckDB|AgreesWithTheReference'
	go test -count=1 -v -tags interop ./formats/interop
	go test -count=1 -v -tags interop -run Foreign ./warehouses/delta

.PHONY: lint
lint: $(BIN)/golangci-lint ## lint, and prove that the import rules bite
	$(BIN)/golangci-lint run ./...
	cd tools/compose && ../../$(BIN)/golangci-lint run --config ../../.golangci.yml --disable depguard,tagliatelle
	cd tools/lint && ../../$(BIN)/golangci-lint run --config ../../.golangci.yml --disable depguard
	go -C tools/lint test -count=1 ./...

.PHONY: vet
vet: ## go vet, and whether go.mod and go.sum say what is used
	go vet ./...
	go mod tidy -diff
	go -C tools/compose vet ./...
	go -C tools/lint vet ./...

.PHONY: vuln
vuln: $(BIN)/govulncheck ## look for known vulnerabilities; ends with 75 where their database cannot be reached
	tools/vulnerabilities.sh

##@ What the checks need

.PHONY: tools
tools: $(SERVERS) $(BIN)/golangci-lint $(BIN)/govulncheck ## build the pinned programs into .tools/bin

.PHONY: redis
redis: ## install Debian's redis-server where it is missing and that is possible
	@tools/debian.sh redis-server

.PHONY: chromium
chromium: ## install Debian's chromium where it is missing and that is possible
	@tools/debian.sh chromium

.PHONY: prometheus
prometheus: ## install Debian's Prometheus and Alertmanager where they are missing and that is possible
	@tools/prometheus.sh

# $(call build-tool,module's folder,package) builds a pinned program. It is
# built again when its module's pins change.
define build-tool
@echo "building $@ from $(1)/go.mod; the first time takes a minute or two"
@mkdir -p $(BIN)
@go -C $(1) build -trimpath -ldflags='-s -w' -o $(CURDIR)/$@ $(2)
@touch $@
endef

$(BIN)/versitygw: tools/go.mod tools/go.sum
	$(call build-tool,tools,github.com/versity/versitygw/cmd/versitygw)

$(BIN)/toxiproxy-server: tools/go.mod tools/go.sum
	$(call build-tool,tools,github.com/Shopify/toxiproxy/v2/cmd/server)

$(BIN)/fake-gcs-server: tools/go.mod tools/go.sum
	$(call build-tool,tools,github.com/fsouza/fake-gcs-server)

$(AZURITE): tools/azurite/package.json tools/azurite/package-lock.json
	@echo "installing Azurite from tools/azurite/package-lock.json"
	@tools/npm.sh azurite azurite

$(AXE): tools/axe/package.json tools/axe/package-lock.json
	@echo "installing axe-core from tools/axe/package-lock.json"
	@tools/npm.sh axe axe-core

$(INTEROP): tools/interop/requirements.txt
	@echo "installing the readers of tools/interop/requirements.txt"
	@tools/interop.sh

.tools/interop-sharing/installed: tools/interop/sharing.txt
	@echo "installing the client of tools/interop/sharing.txt; it needs Python 3.10 or later with venv"
	@python3 -m venv .tools/interop-sharing
	@.tools/interop-sharing/bin/pip install --quiet --disable-pip-version-check --requirement tools/interop/sharing.txt
	@touch $@

$(BIN)/govulncheck: tools/go.mod tools/go.sum
	$(call build-tool,tools,golang.org/x/vuln/cmd/govulncheck)

$(BIN)/golangci-lint: tools/lint/go.mod tools/lint/go.sum
	$(call build-tool,tools/lint,github.com/golangci/golangci-lint/v2/cmd/golangci-lint)
