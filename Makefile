# make demo: set up and run the miniature study.   make test: set up and run the tests.
# make bench: the benchmarks side by side with their peers (make bench BENCH="--repeats 5").
# make slurm-sandbox: a whole SLURM on this machine, to try profiles/slurm (root; make slurm-sandbox-stop).
# make docs: the documentation site in site/ (its search needs a server: .venv/bin/mkdocs serve).
# make fetch: bring what a study takes from the Hugging Face hub, where there is a network.
ifneq ($(words $(CURDIR)),1)
$(error $(CURDIR): Snakemake cannot start jobs by a path with a space; move the project into a folder without one)
endif

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
STUDY ?= config.yaml

# Jobs start Python hundreds of times: without byte code each of them would compile every module.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo docs fetch test bench lint environment slurm-sandbox slurm-sandbox-stop lock clean
.DEFAULT_GOAL := demo

demo: environment
	@$(BIN)/snakemake all report --profile local

docs: environment
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@echo "site/index.html"

fetch: environment
	@$(BIN)/snakemake lock_revisions --cores 1 --configfile $(STUDY)
	@$(BIN)/snakemake fetch --cores 4 --configfile $(STUDY)

test: environment
	@$(BIN)/python -m pytest -n 2 -m "not slow" --dist loadfile --durations 10 $(PYTEST)
	@# three on two cores: those of the cluster mostly wait
	@$(BIN)/python -m pytest -n 3 -m slow --dist loadfile --durations 30 $(PYTEST)

bench: environment
	@$(BIN)/python benchmarks $(BENCH)

slurm-sandbox:
	@envs/slurm-sandbox/start

slurm-sandbox-stop:
	@envs/slurm-sandbox/stop

lint: environment
	$(BIN)/ruff format --check workflow tests benchmarks docs/hooks.py
	$(BIN)/ruff check workflow tests benchmarks docs/hooks.py
	$(BIN)/snakefmt --check Snakefile rules
	$(BIN)/mypy
	$(BIN)/snakemake --lint --configfile studies/miniature.yaml

environment: $(READY)

$(READY): envs/requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=python3.11"; exit 1; }
	@echo "Setting up .venv from envs/requirements.lock (once, three to five minutes on two idle cores)"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-compile -r envs/requirements.lock
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation -e .
	@echo "Compiling the packages to byte code (half a minute)"
	@# on all cores, while pip uses one; some packages ship files that do not compile
	@$(BIN)/python -m compileall -q -j 0 -x '/tests?/' .venv/lib > .venv/compileall.log || true
	@touch $@
	@echo "Set up. To use it in this shell: . .venv/bin/activate"

# What the project asks for is in envs/requirements.in; this writes down what it gets.
lock:
	rm -rf .venv-lock && $(PYTHON) -m venv .venv-lock
	.venv-lock/bin/pip install --quiet -r envs/requirements.in
	.venv-lock/bin/python envs/write_lock.py
	rm -rf .venv-lock

clean:
	rm -rf .venv .snakemake results/miniature results/nano
