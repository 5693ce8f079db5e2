# make help lists the targets. PYTHON names the interpreter that the environment is made with.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
DEMO := build/demo
PYTHONS := 3.11 3.12 3.13
WHEEL := build/wheel
SANITIZE := build/sanitize
LEFTOVERS := build/lib* build/temp* build/bdist*

.PHONY: help install demo gallery test test-slow test-crash test-sanitize test-pythons check format wheel bench clean
.DEFAULT_GOAL := help

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(INSTALLED)  ## Make .venv with seqtool and what its developers need

$(INSTALLED): pyproject.toml setup.py constraints.txt $(wildcard seqtool/native/*.[ch])
	$(PYTHON) -m venv $(VENV)
	$(RUN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

demo: $(INSTALLED)  ## Train on Python's own documentation, score it, and read what it writes
	@mkdir -p $(DEMO)
	$(RUN)/python corpora/python_docs.py --train $(DEMO)/train.txt --valid $(DEMO)/valid.txt --test $(DEMO)/test.txt
	$(RUN)/seqtool train $(DEMO)/train.txt --valid $(DEMO)/valid.txt -o $(DEMO)/run --force --time 80s
	@echo; echo "== How well it predicts text that it has not seen"
	$(RUN)/seqtool eval $(DEMO)/run $(DEMO)/test.txt
	@echo; echo "== Counts beside it, both as one, and gates that go on counting as they read"
	$(RUN)/seqtool train $(DEMO)/train.txt --valid $(DEMO)/valid.txt --vocab $(DEMO)/run/vocab.model --model ngram \
		-o $(DEMO)/counts --force --quiet
	$(RUN)/seqtool mix $(DEMO)/run $(DEMO)/counts -o $(DEMO)/both --valid $(DEMO)/valid.txt --force --quiet
	$(RUN)/seqtool mix $(DEMO)/run $(DEMO)/counts -o $(DEMO)/gated --gated --read $(DEMO)/train.txt --valid $(DEMO)/valid.txt --force --quiet
	@echo; echo "== Bits per byte of that text, beside compressors"
	@{ $(RUN)/seqtool eval $(DEMO)/run $(DEMO)/counts $(DEMO)/both --text $(DEMO)/test.txt --json; \
		$(RUN)/seqtool eval $(DEMO)/gated $(DEMO)/test.txt --adapt --json; } | \
		$(RUN)/python corpora/beside_compressors.py $(DEMO)/train.txt $(DEMO)/test.txt
	@echo; echo "== What it writes"
	$(RUN)/seqtool generate $(DEMO)/run --prompt 'The value of' --max-tokens 150 --seed 1
	@echo; echo "== Try next"
	@echo "  $(RUN)/seqtool generate $(DEMO)/run --prompt 'A class' --temperature 0.6"
	@echo "  echo 'for x in range(3):' | $(RUN)/seqtool eval $(DEMO)/run - --per token"
	@echo "  $(RUN)/seqtool train $(DEMO)/train.txt --model transformer --time 2m"

gallery: $(INSTALLED)  ## Draw what lectures say, from short trainings: build/gallery.html
	@mkdir -p build
	$(RUN)/python -m corpora.gallery -o build/gallery.html

test: $(INSTALLED)  ## Run the tests (under five minutes on two cores)
	$(RUN)/python -m pytest -q -n auto

test-slow: $(INSTALLED)  ## Run the tests that take minutes: every model with every optimizer, hundreds of kills
	$(RUN)/python -m pytest -q -n auto -m slow

test-crash: $(INSTALLED)  ## Of these, the ones that kill, fill disks and spoil numbers
	$(RUN)/python -m pytest -q -s -m slow tests/training/test_crash.py tests/training/test_parallel.py \
		tests/training/test_world.py

# The sanitizers' runtime must be there first, and the C++ library before torch, or it misses the exceptions.
test-sanitize: $(INSTALLED)  ## Run the tests of what is in C under the address and undefined-behaviour sanitizers
	rm -rf $(SANITIZE)
	mkdir -p $(SANITIZE)
	cp -r seqtool tests pyproject.toml $(SANITIZE)
	rm -f $(SANITIZE)/seqtool/native/*.so
	CFLAGS='-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer' \
		LDFLAGS='-fsanitize=address,undefined' \
		$(RUN)/python setup.py -q build_ext --build-lib $(SANITIZE) --build-temp $(SANITIZE)/temp
	test $$(ls $(SANITIZE)/seqtool/native/*.so | wc -l) = 8
	cd $(SANITIZE) && \
		LD_PRELOAD="$$(cc -print-file-name=libasan.so) $$(cc -print-file-name=libstdc++.so)" \
		ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1 \
		$(abspath $(RUN))/python -m pytest -q --capture=sys \
		--deselect tests/native/test_loading.py::test_memory_that_is_freed_serves_again tests/native \
		tests/counts tests/models/test_recurrence.py tests/models/test_scan.py tests/models/test_convolution.py \
		tests/models/test_swiglu.py tests/models/test_delta_rule.py tests/models/test_loss.py tests/models/decoding \
		tests/embeddings/test_skipgram.py

# python3.11, python3.12 and python3.13 must be there; an environment each, in build/.
test-pythons:  ## Run the tests on every version of Python that is supported, one after the other
	for version in $(PYTHONS); do \
		$(MAKE) test PYTHON=python$$version VENV=build/python$$version || exit 1; \
	done

check: $(INSTALLED)  ## Format, lint, types and tests
	$(RUN)/ruff format --check .
	$(RUN)/ruff check .
	$(RUN)/mypy
	$(RUN)/python -m pytest -q -n auto

format: $(INSTALLED)  ## Format the code
	$(RUN)/ruff format .
	$(RUN)/ruff check --fix .

wheel:  ## Build a wheel and try it in an environment of its own
	rm -rf $(WHEEL) $(LEFTOVERS)
	$(PYTHON) -m venv $(WHEEL)/env
	$(WHEEL)/env/bin/python -m pip wheel --quiet --disable-pip-version-check --no-deps -c constraints.txt -w $(WHEEL) .
	$(WHEEL)/env/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt $(WHEEL)/*.whl
	cd $(WHEEL) && env/bin/python -I $(CURDIR)/tests/installed.py
	@rm -rf $(LEFTOVERS) $(WHEEL)/env
	@ls $(WHEEL)/*.whl

bench: $(INSTALLED)  ## Measure speed and quality on this machine, in about five minutes
	@mkdir -p $(DEMO)
	$(RUN)/seqtool bench
	$(RUN)/python tests/benchmarks/beside_peers.py speed,startup --rounds 1 --seconds 2
	$(RUN)/python corpora/python_docs.py --train $(DEMO)/train.txt --valid $(DEMO)/valid.txt
	$(RUN)/python tests/benchmarks/recipes.py --pair $(DEMO)/train.txt $(DEMO)/valid.txt --time 15s \
		--try '--model lstm' --try '--model gru' --try '--model rnn' --try '--model ffn' --try '--model transformer'

clean:  ## Remove what was made here, the environment included
	rm -rf $(VENV) build .pytest_cache .mypy_cache .ruff_cache *.egg-info
