# Each recipe makes .venv for itself, from the lock files, so each works on a fresh clone with
# nothing but Python >= 3.11 and make. Set-up writes to stderr and reads nothing: stdin may be a script.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help run test lint format coverage torture bench bench-full docs pictures lock .venv-run .venv-dev

# Tried in this order: the system's own, then the newest. One of your own: make run PYTHON=/path/to/python3
PYTHON ?= python3 python3.14 python3.13 python3.12 python3.11
ARGS ?=

# What make tells a make below it is nothing to tell a job. (Names with a dash leave no trace in the environment.)
exec-python = unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES MAKE_TERMERR MAKE_TERMOUT; exec .venv/bin/python
pip-install = .venv/bin/python -m pip -qq --disable-pip-version-check --no-input install --require-hashes
uv-compile = .lock-venv/bin/uv --quiet pip compile --universal --python-version 3.11 --generate-hashes --no-annotate --no-strip-extras \
	--custom-compile-command 'make lock' --upgrade

help: ## Show the recipes
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-11s%s\n", $$1, $$2 }' Makefile

run: .venv-run ## Start the shell; also reads a script: make run < examples/first.txt
	@$(exec-python) queuectl.py $(ARGS)

test: .venv-dev ## Run the tests; a part of them: make test ARGS="tests/unit -k backoff"
	@$(exec-python) -m pytest $(ARGS)

lint: .venv-dev ## Check style, format and types
	.venv/bin/python -m ruff check .
	.venv/bin/python -m ruff format --check .
	.venv/bin/python -m mypy

format: .venv-dev ## Format the code and mend what can be mended
	.venv/bin/python -m ruff check --fix .
	.venv/bin/python -m ruff format .

coverage: .venv-dev ## Run the tests and measure what they reach
	@$(exec-python) -m pytest --cov --cov-report=term-missing:skip-covered $(ARGS)

torture: .venv-dev ## Try for hours to lose a job: crashes, power cuts, faults, kills, damage
	@$(exec-python) -m pytest tests/torture --long -o session_timeout= $(ARGS)

bench: .venv-run ## Measure all of docs/performance.md in some minutes; a part: make bench ARGS="--quick drain"
	@$(exec-python) -m bench $(ARGS)

bench-full: .venv-run ## The same with 1,000,000 jobs and long idling; takes up to an hour
	@$(exec-python) -m bench --full $(ARGS)

docs: .venv-run ## Write the pages that follow from the declarations: docs/commands.md, docs/queuectl.1
	@$(exec-python) -m tools pages

pictures: .venv-dev ## Write the pictures of docs/pictures/, from what the program shows
	@$(exec-python) -m tools pictures

lock: ## Write the lock files anew, with the newest versions that requirements*.txt allow
	@set -e; $(pick-python); \
	"$$python" -m venv .lock-venv; \
	.lock-venv/bin/python -m pip --quiet --disable-pip-version-check install --upgrade uv; \
	$(uv-compile) requirements.txt --output-file requirements.lock; \
	$(uv-compile) requirements-dev.txt --constraints requirements.lock --output-file requirements-dev.lock \
		$$(sed -n 's/^\([a-z0-9-]*\)==.*/--no-emit-package \1/p' requirements.lock)

# Set $python to an interpreter that can make .venv, or say what is missing and fail. Its real path is taken, so
# that .venv is noticed as stale, and made anew, when a system upgrade removes that version.
define pick-python
python= seen=; \
for name in $(PYTHON); do \
	found=$$("$$name" -c 'import os, sys; sys.version_info >= (3, 11) and print(os.path.realpath(sys.executable))' \
		2>/dev/null) || continue; \
	test -n "$$found" || continue; \
	seen=$${seen:-$$name}; \
	if "$$found" -c 'import ensurepip, venv' 2>/dev/null; then python=$$found; break; fi; \
done; \
if test -z "$$seen"; then \
	echo "QueueCTL needs Python 3.11 or newer; none of these is: $(PYTHON)." >&2; \
	echo "Install one (Debian, Ubuntu: sudo apt install python3 python3-venv; macOS: brew install python)," >&2; \
	echo "or name yours: make run PYTHON=/path/to/python3" >&2; \
	exit 1; \
elif test -z "$$python"; then \
	echo "$$seen has no working \"venv\" module. Debian, Ubuntu: sudo apt install $$(basename "$$seen")-venv" >&2; \
	exit 1; \
fi
endef

# Enter the set-up: one at a time (the lock is held by descriptor 9, so it ends with this shell).
define alone
exec </dev/null >&2 9<requirements.lock; \
"$$python" -c 'import fcntl; fcntl.flock(9, fcntl.LOCK_EX)'
endef

# A stamp is a copy of the lock file that was installed, written last: an interrupted set-up is redone.
.venv-run:
	@current() { test -x .venv/bin/python && cmp -s requirements.lock .venv/.run.ok; }; \
	current && exit 0; \
	set -e; $(pick-python); \
	echo "Setting up .venv (once) ..." >&2; \
	$(alone); \
	if current; then exit 0; fi; \
	if ! test -x .venv/bin/python || ! test -e .venv/.run.ok; then "$$python" -m venv --clear .venv; fi; \
	$(pip-install) -r requirements.lock; \
	cp requirements.lock .venv/.run.tmp; mv .venv/.run.tmp .venv/.run.ok

.venv-dev: .venv-run
	@current() { cmp -s requirements-dev.lock .venv/.dev.ok; }; \
	current && exit 0; \
	set -e; python=.venv/bin/python; \
	echo "Setting up .venv for tests and checks (once) ..." >&2; \
	$(alone); \
	if current; then exit 0; fi; \
	$(pip-install) -r requirements.lock -r requirements-dev.lock; \
	cp requirements-dev.lock .venv/.dev.tmp; mv .venv/.dev.tmp .venv/.dev.ok
