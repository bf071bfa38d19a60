# Eventferry's everyday commands: `make` alone explains them. A machine needs Python 3.11 or newer (with venv) and make.
.DEFAULT_GOAL := help
.NOTPARALLEL:

PYTHON ?= python3
PREFIX := /opt/eventferry
# Most tests wait for real processes and sockets, so that four fit on two cores.
WORKERS ?= 4
UV := uv==0.13.9

# What the service is installed from: with Apprise if asked (make install APPRISE=1), or if it is there already.
WITH_APPRISE = $(or $(APPRISE),$(wildcard $(DESTDIR)$(PREFIX)/lib/python*/site-packages/apprise))
SERVICE_LOCK = requirements$(if $(WITH_APPRISE),-apprise).txt

# A service may not read a Python that lives in somebody's home folder, so it gets the system's own.
ifeq ($(MAKECMDGOALS) $(origin PYTHON),install file)
PYTHON := $(firstword $(wildcard /usr/bin/python3) python3)
endif

# What this Python is good for: "3.11 fit", "3.9 old", "3.11 bare" (Debian keeps venv in a package of its own), or nothing.
PROBE := import sys; from importlib.util import find_spec; version = sys.version_info; \
	print("%d.%d" % version[:2], "old" if version < (3, 11) else "fit" if find_spec("ensurepip") else "bare")
FACTS := $(shell $(PYTHON) -c '$(PROBE)' 2>/dev/null)
VERSION := $(word 1,$(FACTS))
remedy := install a newer package (such as python3.11 with python3.11-venv) and name it: make PYTHON=python3.11 ..., or use Docker: README.md
python-none = there is no working $(PYTHON) here, and Eventferry needs Python 3.11 or newer: $(remedy)
python-old = $(PYTHON) is Python $(VERSION), and Eventferry needs 3.11 or newer: $(remedy)
python-bare = $(PYTHON) cannot make virtual environments: install its venv package (Debian, Ubuntu: apt-get install python$(VERSION)-venv)
verdict := $(or $(word 2,$(FACTS)),none)
require-python = $(if $(python-$(verdict)),$(error $(python-$(verdict))))
require-root = $(if $(DESTDIR),,$(if $(filter-out 0,$(shell id -u)),$(error this needs root: sudo make $@)))

# One environment for each Python; a stamp in it says that a lock and pyproject.toml are installed there.
VENV := $(if $(filter python3,$(PYTHON)),.venv,.venv-$(VERSION))
RUNTIME := $(VENV)/.runtime-$(VERSION)
DEV := $(VENV)/.dev-$(VERSION)
READY := $(or $(wildcard $(DEV)),$(RUNTIME))

PIP := -m pip --quiet --quiet --disable-pip-version-check --no-input install --no-deps
FROM_LOCK := --require-hashes --only-binary :all: --requirement
FROM_HERE := --no-index --no-build-isolation

.PHONY: help demo run test lint check soak fuzz bench lock install uninstall clean

help: ## Explain the targets (what `make` alone does)
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(READY) ## See it work: simulator, daemon, every sink; needs no account, ends by itself
	@$(VENV)/bin/eventferry demo

run: $(READY) ## Run the daemon with ./config.toml or /etc/eventferry/config.toml
	@$(VENV)/bin/eventferry run

test: $(DEV) ## Run the tests
	@$(VENV)/bin/pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder

lint: $(DEV) ## Run the static checks: format, ruff, mypy --strict, import contracts
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/mypy
	@$(VENV)/bin/lint-imports --no-logo

check: lint test ## Run all that a change must pass: lint, then test

soak: $(DEV) ## Kill it, cut its power, freeze it, throttle it: the long trials of docs/reliability.md (two hours, some as root)
	@$(VENV)/bin/python -m tests.soak --cycles 1000 --seed 1
	@$(VENV)/bin/python -m tests.soak.syscalls
	@$(VENV)/bin/python -m tests.soak.powercut --states 10000
	@$(VENV)/bin/python -m tests.soak.manners --answers 10000 --seed 1
	@$(VENV)/bin/python -m tests.soak.migration
	@$(VENV)/bin/python -m tests.soak.frozen --seconds 90
	@$(VENV)/bin/python -m tests.soak.clock --seconds 180
	@$(VENV)/bin/python -m tests.soak.full_disk --cycles 40
	@$(VENV)/bin/python -m tests.machine --examples 200 --steps 50 --seed 1

fuzz: $(DEV) ## Feed a million damaged inputs to everything that parses or renders (20 minutes; SEED=2 for others)
	@$(VENV)/bin/python -m tests.fuzz --inputs 1000000 --seed $(or $(SEED),1)

bench: $(DEV) ## Measure speed and memory, beside what people would use instead (20 minutes; ARGS=--quick for a hint)
	@$(VENV)/bin/python -m benchmarks $(ARGS)

lock: ## Rewrite the locks after a change of pyproject.toml; pins that still fit stay (delete a lock to renew them all)
	$(require-python)
	@$(PYTHON) -m venv --clear .venv-lock
	@.venv-lock/bin/python $(PIP) $(UV)
	@compile() { .venv-lock/bin/uv pip compile --quiet --no-cache --universal --python-version 3.11 --no-header \
	    --no-annotate --generate-hashes --no-emit-index-url --output-file "$$@" pyproject.toml; }; \
	  compile requirements.txt --group build && compile requirements-apprise.txt --group build --extra apprise && \
	  compile requirements-dev.txt --group dev --extra apprise
	@rm -rf .venv-lock

install: ## As root: install the service (/opt/eventferry, /usr/local/bin/eventferry, the unit, /etc/eventferry); APPRISE=1 adds Apprise
	$(require-root)$(require-python)
	@set -e; umask 022; venv='$(DESTDIR)$(PREFIX)'; etc='$(DESTDIR)/etc'; \
	echo "Setting up $$venv (Python $(VERSION)) ..."; \
	"$$venv/bin/python$(VERSION)" -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear "$$venv"; \
	"$$venv/bin/python" $(PIP) $(FROM_LOCK) $(SERVICE_LOCK); \
	"$$venv/bin/python" $(PIP) $(FROM_HERE) --force-reinstall .; \
	find "$$venv/bin" -type f -exec sed -i 's|$(DESTDIR)$(PREFIX)|$(PREFIX)|g' {} +; \
	mkdir -p '$(DESTDIR)/usr/local/bin' "$$etc/systemd/system" "$$etc/eventferry"; \
	test -d "$$etc/eventferry/secrets" || mkdir -m 0700 "$$etc/eventferry/secrets"; \
	ln -sfn $(PREFIX)/bin/eventferry '$(DESTDIR)/usr/local/bin/eventferry'; \
	install -m 0644 systemd/eventferry.service "$$etc/systemd/system/eventferry.service"; \
	test -n '$(DESTDIR)' -o ! -d /run/systemd/system || systemctl daemon-reload
	@echo "Installed. A first time: sudo eventferry init, then sudo systemctl enable --now eventferry."
	@echo "After an upgrade: sudo systemctl restart eventferry."

uninstall: ## As root: remove what install brought; the configuration and the data stay
	$(require-root)
	@test -n '$(DESTDIR)' -o ! -d /run/systemd/system || systemctl disable --now eventferry || true
	@rm -rf '$(DESTDIR)$(PREFIX)' '$(DESTDIR)/usr/local/bin/eventferry' '$(DESTDIR)/etc/systemd/system/eventferry.service'

clean: ## Remove the environments and caches that the other targets made
	@rm -rf .venv .venv-* .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find daemon sinks migrations tests -type d -name __pycache__ -exec rm -rf {} +

$(RUNTIME): requirements.txt pyproject.toml
$(DEV): requirements-dev.txt pyproject.toml
$(RUNTIME) $(DEV):
	$(require-python)
	@echo "Setting up $(VENV) (Python $(VERSION)) from $< ..."
	@$(VENV)/bin/python$(VERSION) -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	@$(VENV)/bin/python $(PIP) $(FROM_LOCK) $<
	@$(VENV)/bin/python $(PIP) $(FROM_HERE) --editable .
	@touch $@
