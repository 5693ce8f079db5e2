# make help lists the targets. PYTHON names the interpreter that the environment is made with.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
DEMO := build/demo

.PHONY: help install demo test test-slow test-crash check format bench clean
.DEFAULT_GOAL := help

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(INSTALLED)  ## Make .venv with seqtool and what its developers need

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(RUN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

demo: $(INSTALLED)  ## Train on Python's own documentation, score it, and read what it writes
	@mkdir -p $(DEMO)
	$(RUN)/python corpora/python_docs.py --train $(DEMO)/train.txt --valid $(DEMO)/valid.txt
	$(RUN)/seqtool train $(DEMO)/train.txt --valid $(DEMO)/valid.txt -o $(DEMO)/run --force --time 80s
	@echo; echo "== How well it predicts text that it has not seen"
	$(RUN)/seqtool eval $(DEMO)/run $(DEMO)/valid.txt
	@echo; echo "== Bits per byte of the same text, beside compressors"
	@$(RUN)/seqtool eval $(DEMO)/run $(DEMO)/valid.txt --json | \
		$(RUN)/python corpora/beside_compressors.py $(DEMO)/train.txt $(DEMO)/valid.txt
	@echo; echo "== What it writes"
	$(RUN)/seqtool generate $(DEMO)/run --prompt 'The value of' --max-tokens 150 --seed 1
	@echo; echo "== Try next"
	@echo "  $(RUN)/seqtool generate $(DEMO)/run --prompt 'A class' --temperature 0.6"
	@echo "  echo 'for x in range(3):' | $(RUN)/seqtool eval $(DEMO)/run - --per token"
	@echo "  $(RUN)/seqtool train $(DEMO)/train.txt --model transformer --time 2m"

test: $(INSTALLED)  ## Run the tests (under five minutes on two cores)
	$(RUN)/python -m pytest -q -n auto

test-slow: $(INSTALLED)  ## Run the tests that take minutes: every model with every optimizer, hundreds of kills
	$(RUN)/python -m pytest -q -n auto -m slow

test-crash: $(INSTALLED)  ## Of these, the ones that kill, fill disks and spoil numbers
	$(RUN)/python -m pytest -q -s -m slow tests/training/test_crash.py tests/training/test_processes.py

check: $(INSTALLED)  ## Format, lint, types and tests
	$(RUN)/ruff format --check .
	$(RUN)/ruff check .
	$(RUN)/mypy
	$(RUN)/python -m pytest -q -n auto

format: $(INSTALLED)  ## Format the code
	$(RUN)/ruff format .
	$(RUN)/ruff check --fix .

bench: $(INSTALLED)  ## Measure speed and quality on this machine, in about five minutes
	@mkdir -p $(DEMO)
	$(RUN)/seqtool bench
	$(RUN)/python tests/benchmarks/beside_peers.py speed,startup --rounds 1 --seconds 2
	$(RUN)/python corpora/python_docs.py --train $(DEMO)/train.txt --valid $(DEMO)/valid.txt
	$(RUN)/python tests/benchmarks/recipes.py --pair $(DEMO)/train.txt $(DEMO)/valid.txt --time 15s \
		--try '--model lstm' --try '--model gru' --try '--model rnn' --try '--model ffn' --try '--model transformer'

clean:  ## Remove what was made here, the environment included
	rm -rf $(VENV) build .pytest_cache .mypy_cache .ruff_cache *.egg-info
