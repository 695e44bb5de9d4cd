# `make demo` and `make test` are all a new checkout needs: each installs what is missing first.
#
#   make demo     the sample slide in napari; without a display, the same path into demo_output/
#   make test     linters, types, import rules, manifest, documentation and the whole test suite
#   make docs     the documentation into build/site, without a network
#   make pictures photographs of the docks for the documentation
#   make sample   make sample_data/ again from its seed
#   make bench    run the scripts that measure the figures in the documentation
#   make clean    remove what the above have made
#
# PYTHON=python3.12 chooses another interpreter than python3 for the virtual environment.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
MAC := $(filter Darwin,$(shell uname -s))
SCREEN := $(or $(DISPLAY),$(WAYLAND_DISPLAY),$(MAC))
# Qt's offscreen platform has no OpenGL, so windows without a display are drawn on a virtual one.
VIRTUAL := env -u QT_QPA_PLATFORM -u WAYLAND_DISPLAY xvfb-run -a -s "-screen 0 1600x1000x24"
XVFB := $(if $(MAC),,$(VIRTUAL))
# The tests start some hundred processes: what one of them has compiled is there for the next.
ONCE := env -u PYTHONDONTWRITEBYTECODE
# Files go to two processes in their order: those of few and long tests are not left for the end.
SHARED_OUT := -n 2 --dist loadfile --no-loadscope-reorder

.PHONY: demo test docs pictures sample bench clean system

ifdef SCREEN
demo: $(STAMP)
	$(BIN)/histoprompt demo
else
demo: $(STAMP)
	$(XVFB) $(BIN)/histoprompt demo --headless --out demo_output
endif

test: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python scripts/import_graph.py
	$(BIN)/deptry src
	$(BIN)/npe2 validate napari-histoprompt
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	NAPARI_CONFIG=$$(mktemp -d)/napari.yaml $(ONCE) $(XVFB) $(BIN)/python -m pytest $(SHARED_OUT)

docs: $(STAMP)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "build/site/index.html"

pictures: $(STAMP)
	$(XVFB) $(BIN)/python scripts/pictures.py

sample: $(STAMP)
	$(BIN)/python sample_data/make_sample.py
	$(BIN)/python sample_data/make_cohort.py

bench: $(STAMP)
	for script in benchmarks/bench_*.py; do $(XVFB) $(BIN)/python "$$script" || exit 1; done

clean:
	rm -rf $(VENV) demo_output dist build .*_cache .hypothesis

$(STAMP): pyproject.toml scripts/install.sh | system
	PYTHON="$(PYTHON)" scripts/install.sh "$(VENV)"
	touch $@

system:
	@PYTHON="$(PYTHON)" scripts/system.sh $(if $(SCREEN),$(if $(filter test bench pictures,$(MAKECMDGOALS)),xvfb),xvfb)
