# Try OPUS, run it, test it, release it. Needs make and Python 3.11 or newer; all else goes into
# .venv and its like in this folder, never into the system's Python.

PYTHON ?= python3
# With a registry that only pip knows of (pip.conf), without uv:  make test TOX="tox>=4.25"
TOX ?= "tox>=4.25" "tox-uv>=1.30"

PARTS := opus_core opus_storage_sqlite opus_manager_slurm opus_jdl_wadl plugins/opus_manager_local \
	plugins/opus_storage_postgresql plugins/opus_jdl_votable plugins/opus_metrics plugins/opus_notify
PYPROJECTS := pyproject.toml $(PARTS:%=%/pyproject.toml)

# What would let a Python here import or install from elsewhere.
unexport PYTHONPATH PYTHONHOME
export PIP_USER := 0
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help demo serve init test bench soak docs release version clean

help: ## say what there is to do
	@sed -n 's/^\([a-z]*\):[^#]*## \(.*\)/  make \1|\2/p' $(firstword $(MAKEFILE_LIST)) | \
		awk -F'|' '{ printf "%-14s %s\n", $$1, $$2 }'

demo: .venv/stamp ## start a server, run a real job through it, show the results
	@.venv/bin/opus demo

serve: .venv/stamp ## serve on this machine, with its data in opus-data
	@.venv/bin/opus serve

init: .venv/stamp ## set up opus-data for a site; WWWUSER=www names the web server's user
	@.venv/bin/opus init opus-data $(if $(WWWUSER),--user '$(WWWUSER)')

test: .venv-test/stamp ## run all tests; TOXENV=core,docs runs some
	@tests/services/install
	@tests/services/scratch .venv-test/bin/tox run

bench: .venv/stamp ## measure what is promised; BENCH="--help" says what else there is
	@.venv/bin/python -c 'import playwright' 2>/dev/null || .venv/bin/python -m pip install -q 'playwright>=1.65'
	@.venv/bin/python -m benchmarks $(BENCH)

# Environments with tests that are for a soak alone, or with random examples.
SOAKED := core,storage_sqlite,storage_postgresql,manager_slurm,jdl_wadl,jdl_votable,api,security,system,browser,authors,make

# All of it runs, whatever the first one shows.
soak: .venv/stamp .venv-test/stamp ## hours of load and killing; SOAK="--seconds 600 --jobs 1000" for less
	@failed=0; \
	.venv/bin/python tests/soak/run.py $(SOAK) || failed=1; \
	.venv/bin/python tests/soak/slurm.py || failed=1; \
	OPUS_SOAK=1 .venv-test/bin/tox run -e slurm -- -m "slow or soak" tests/slurm || failed=1; \
	OPUS_SOAK=1 .venv-test/bin/tox run -e $(SOAKED) || failed=1; \
	exit $$failed

# Anew each time: it takes seconds, and nothing of pages that have gone is left.
docs: .venv-docs/stamp ## make a site of the pages, with a search; it needs no server
	@rm -rf docs/_build/html
	@.venv-docs/bin/sphinx-build --quiet --fail-on-warning --keep-going --conf-dir docs . docs/_build/html
	@echo "Open file://$(CURDIR)/docs/_build/html/index.html"

release: .venv-release/stamp ## fill dist with what can be published; DIRTY=1 also with what is in no commit
	@.venv-release/bin/python -m release $(if $(DIRTY),--dirty) dist

version: ## raise the version of everything: VERSION=0.2.0
	$(check_python)
	@$(PYTHON) -m release.version '$(VERSION)'

clean: ## remove the environments and caches; opus-data stays
	rm -rf .venv .venv-test .venv-docs .venv-release docs/_build .tox .pytest_cache .mypy_cache .ruff_cache .hypothesis dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Debian keeps ensurepip, without which there is no pip in a venv, in a package of its own.
define check_python
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		version=$$($(PYTHON) --version 2>&1) || version="not there"; \
		echo "OPUS needs Python 3.11 or newer, and $(PYTHON) is $$version." \
			"Name another one: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "$(PYTHON) cannot make virtual environments yet. Type this, then try again:" \
			"sudo apt-get install $(notdir $(PYTHON))-venv" >&2; exit 1; }
endef

# Editable: after a git pull the new sources run; only a changed pyproject.toml installs again.
.venv/stamp: $(PYPROJECTS)
	$(check_python)
	@echo "Installing OPUS into .venv: this time, and when its requirements change ..."
	@test -e $@ || $(PYTHON) -m venv --clear .venv
	@.venv/bin/python -m pip install -qq $(PARTS:%=--editable ./%)
	@touch $@

# tox installs what a pyproject.toml asks for when it makes an environment, and does not look again.
.venv-test/stamp: $(PYPROJECTS)
	$(check_python)
	@rm -rf .tox
	@test -e $@ || $(PYTHON) -m venv --clear .venv-test
	@.venv-test/bin/python -m pip install -qq $(TOX)
	@touch $@

.venv-docs/stamp: docs/requirements.txt
	$(check_python)
	@echo "Installing what builds the pages into .venv-docs: this time, and when that changes ..."
	@test -e $@ || $(PYTHON) -m venv --clear .venv-docs
	@.venv-docs/bin/python -m pip install -qq --requirement docs/requirements.txt
	@touch $@

# Nothing of OPUS: what is released is made and tried apart from the checkout.
.venv-release/stamp: Makefile
	$(check_python)
	@echo "Installing the tools that make a release into .venv-release ..."
	@test -e $@ || $(PYTHON) -m venv --clear .venv-release
	@.venv-release/bin/python -m pip install -qq 'build>=1.2' 'hatchling>=1.27' 'twine>=6' \
		'check-wheel-contents>=0.6'
	@touch $@
