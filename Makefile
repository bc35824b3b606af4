# One command from a bare clone: `make demo` or `make test`. Needs Python 3.10 to 3.12 with pip.
#   PYTHON=python3.12 make test    another interpreter
#   VENV=dir make test             another virtual environment (an active one is used as it is)
#   PYTEST_ARGS="tests/data -x" make test

PYTHON ?= python3
VENV ?= $(or $(VIRTUAL_ENV),.venv)
PYTEST_ARGS ?= -n auto --maxprocesses=4 --dist=loadfile --no-loadscope-reorder

BIN := $(VENV)/bin
PIP = $(BIN)/python -m pip --disable-pip-version-check
STAMP := $(VENV)/.san-installed
SUPPORTED := 3.10 3.11 3.12

# The interpreter: the one asked for, else that of the environment, else python3.
ifneq ($(filter environment command,$(firstword $(origin PYTHON))),)
  INTERPRETER := $(PYTHON)
else
  INTERPRETER := $(if $(shell $(BIN)/python -V 2>/dev/null),$(BIN)/python,$(PYTHON))
endif
PRINT_VERSION := -c 'import sys; print("%d.%d" % sys.version_info[:2])'
VERSION := $(shell $(INTERPRETER) $(PRINT_VERSION) 2>/dev/null)

# Installed for this folder and this Python version? Else install again.
IDENTITY := $(VERSION) $(CURDIR)
ifneq ($(shell cat "$(STAMP)" 2>/dev/null),$(IDENTITY))
  STALE := stale
endif

.PHONY: help install demo test lint clean train-tiny stale

help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## /make \1\t/p' Makefile

install: $(STAMP) ## Set up the virtual environment: packages, Detectron2, san itself

demo: $(STAMP) ## Segment scenes by seen, unseen and renamed classes into output/demo
	@for words in seen unseen; do \
	  echo "== Classes whose masks are $$words in training: demo/$$words.yaml"; \
	  $(BIN)/python demo/demo.py --input demo/images/$$words --truth demo/truth/$$words \
	    --vocabulary demo/$$words.yaml --output output/demo/$$words --overwrite || exit 1; done
	@echo "== All of them under other names: demo/renamed.yaml"
	@$(BIN)/python demo/demo.py --input demo/images --truth demo/truth \
	  --vocabulary demo/renamed.yaml --output output/demo/renamed --overwrite

train-tiny: $(STAMP) ## Train the small models that ship, and all of docs/results.md (six hours on two cores)
	@$(BIN)/python tools/train_tiny.py
	@$(BIN)/python tools/results_table.py

test: $(STAMP) ## Run the tests (PYTEST_ARGS: options and paths for pytest)
	@$(BIN)/python -m pytest -q $(PYTEST_ARGS)

lint: $(STAMP) ## Check style and spelling of the tracked files
	@git ls-files -z '*.py' | xargs -0 $(BIN)/python -m ruff check --quiet
	@git ls-files -z '*.py' | xargs -0 $(BIN)/python -m ruff format --check --quiet
	@git ls-files -z | xargs -0 $(BIN)/python -m codespell_lib

clean: ## Remove what make made: .venv, build products, caches, output/demo
	@rm -rf .venv build dist san.egg-info output/demo .pytest_cache .ruff_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(STAMP): constraints.txt setup.py tools/install_detectron2.py $(STALE)
	@case " $(SUPPORTED) " in *" $(or $(VERSION),none) "*) ;; *) \
	  echo "error: $(INTERPRETER) is $(if $(VERSION),Python $(VERSION),no Python that runs);" \
	    "Python 3.10 to 3.12 is needed, for example: PYTHON=python3.12 make" >&2; exit 1;; esac
	@echo "[1/3] Virtual environment $(VENV) with Python $(VERSION)"
	@found=`$(BIN)/python $(PRINT_VERSION) 2>/dev/null`; \
	if [ "$$found" != "$(VERSION)" ]; then \
	  if [ -n "$$found" ] && [ "$(VENV)" != .venv ]; then \
	    echo "error: $(VENV) has Python $$found, and $(PYTHON) is $(VERSION):" \
	      "give another folder with VENV=dir, or leave PYTHON out" >&2; exit 1; fi; \
	  $(INTERPRETER) -m venv --clear "$(VENV)" || exit 1; fi
	@$(PIP) --version >/dev/null 2>&1 || $(BIN)/python -m ensurepip >/dev/null
	@echo "[2/3] Packages of constraints.txt (PyTorch is a download of some GB; minutes the first time)"
	@$(PIP) install -q -c constraints.txt setuptools wheel
	@$(PIP) install -q -c constraints.txt --no-build-isolation -e '.[dev]'
	@echo "[3/3] Detectron2"
	@$(BIN)/python tools/install_detectron2.py
	@echo "$(IDENTITY)" > $@
