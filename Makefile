# What a developer runs; `make` alone lists it. The checks of a change are all
# of them in one: bash .ci/run
#
# Needed: Go, git, gcc (for the race detector), make. Programs that only tests
# and checks use are pinned in the modules below tools/ and built once into
# .tools/bin; Redis comes from the operating system's packages, Azurite from npm.

.DEFAULT_GOAL := help
BIN := .tools/bin
# Google's storage library has a second transport, gRPC, that is not used here.
LEAN := -tags disable_grpc_modules
AZURITE := .tools/azurite/node_modules/azurite/package.json
SERVERS := $(BIN)/versitygw $(BIN)/toxiproxy-server $(BIN)/fake-gcs-server $(AZURITE)

##@ Every day

.PHONY: help
help: ## list the targets
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## build the one program, static, as bin/waybill
	CGO_ENABLED=0 go build $(LEAN) -trimpath -ldflags='-s -w' -o bin/waybill ./cmd/waybill

.PHONY: sandbox
sandbox: ## run the whole system on this machine; ARGS='--once --dir OUT' passes flags
	go run ./cmd/sandbox $(ARGS)

.PHONY: test
test: redis $(SERVERS) ## run every test with the race detector, on real servers
	go -C tools/compose test -count=1 ./...
	go test -race ./...

.PHONY: interop-sharing
interop-sharing: .tools/interop-sharing/installed $(BIN)/versitygw ## read shares with the protocol's own Python client
	go test -count=1 -tags interop -run Foreign ./warehouses/sharing

.PHONY: bench
bench: ## run the benchmarks; PKG=./formats one package's
	go test -run '^$$' -bench . -benchmem $(or $(PKG),./...)

.PHONY: bench-upload
bench-upload: $(BIN)/versitygw ## deliver a run of SIZE=1GB to an S3 gateway, in turns with the converter alone
	go test ./bench/upload -run '^$$' -bench . -benchtime 1x -timeout 30m -size $(or $(SIZE),1GB)

##@ Checks

.PHONY: lint
lint: $(BIN)/golangci-lint ## lint, and prove that the import rules bite
	$(BIN)/golangci-lint run ./...
	cd tools/compose && ../../$(BIN)/golangci-lint run --config ../../.golangci.yml --disable depguard
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
	@tools/redis.sh

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
	@tools/azurite.sh

.tools/interop-sharing/installed: tools/interop/sharing.txt
	@echo "installing the client of tools/interop/sharing.txt; it needs Python 3.10 or later with venv"
	@python3 -m venv .tools/interop-sharing
	@.tools/interop-sharing/bin/pip install --quiet --disable-pip-version-check --requirement tools/interop/sharing.txt
	@touch $@

$(BIN)/govulncheck: tools/go.mod tools/go.sum
	$(call build-tool,tools,golang.org/x/vuln/cmd/govulncheck)

$(BIN)/golangci-lint: tools/lint/go.mod tools/lint/go.sum
	$(call build-tool,tools/lint,github.com/golangci/golangci-lint/v2/cmd/golangci-lint)
