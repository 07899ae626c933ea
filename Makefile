# make demo    the main job, from nothing: environment, package, the sample clip tracked and scored
# make test    the whole test suite
# make test-contract  the engine contract on torch as well (its wheel for processors, 200 MB), after `make test`
# make test-importers  the exports through datumaro and Label Studio's converter, in an environment of their own (1.5 GB)
# make test-torch  the tests that need torch, torchvision and ultralytics, in an environment of their own (6 GB)
# make check   formatting, lint, types
# make sample  render the sample clip again

PYTHON ?= python3
CONSTRAINTS := constraints.txt
# pip's own version check would only slow a fresh start down.
PIP := -m pip --disable-pip-version-check install --quiet --constraint $(CONSTRAINTS)
# TrackEval brings opencv-python along, which needs libGL and hides the headless wheel; the last one installed wins.
HEADLESS := --force-reinstall --no-deps opencv-python-headless
DEMO := .venv
TEST := .venv-test
TORCH := .venv-test-torch
IMPORTERS := .venv-test-importers
CONTRACT := tests/engines/test_contract.py tests/engines/test_torch.py tests/engines/test_torch_operators.py
NEED_TORCH := tests/engines tests/cli/test_models_export.py tests/exports/test_importers.py

SOURCES := $(shell find engines tracker -type f -not -name '*.pyc')

.PHONY: demo test test-contract test-importers test-torch check sample clean

demo: $(DEMO)/package
	$(DEMO)/bin/tracker run --source samples/street.mp4 --output demo/street.tracked.mp4 --mot demo/street.txt \
	    --jsonl demo/street.jsonl --summary demo/street.json --overwrite
	$(DEMO)/bin/tracker eval --gt samples/street_gt --results demo/street.txt
	@echo 'Written: demo/street.tracked.mp4 (the annotated video), demo/street.txt and demo/street.jsonl (the tracks),' \
	    'demo/street.json (the summary).'

test: $(TEST)/ready
	$(TEST)/bin/python -m pytest $(PYTEST_ARGS)

# Not by the constraints: they name the torch that torchvision needs, which brings CUDA along.
test-contract: $(TEST)/ready
	$(TEST)/bin/python -m pip --disable-pip-version-check install --quiet torch==2.13.0
	$(TEST)/bin/python -m pytest $(CONTRACT) $(PYTEST_ARGS)

# Without its tool a test is skipped; here that would be nothing tested.
test-importers: $(IMPORTERS)/ready
	$(IMPORTERS)/bin/python -c 'import datumaro, pycocotools.coco, label_studio_sdk.label_interface, \
	    label_studio_sdk._extensions.label_studio_tools.postprocessing.video'
	$(IMPORTERS)/bin/python -m pytest tests/exports/test_importers.py $(PYTEST_ARGS)

test-torch: $(TORCH)/ready
	$(TORCH)/bin/python -m pytest $(NEED_TORCH) $(PYTEST_ARGS)

check: $(TEST)/ready
	$(TEST)/bin/ruff format --check .
	$(TEST)/bin/ruff check .
	$(TEST)/bin/mypy

sample: $(TEST)/ready
	$(TEST)/bin/python -m samples.street clip --output samples/street.mp4 --truth samples/street_gt

$(DEMO)/ready: pyproject.toml $(CONSTRAINTS)
	$(PYTHON) -m venv $(DEMO)
	$(DEMO)/bin/python $(PIP) '.[eval]'
	$(DEMO)/bin/python $(PIP) $(HEADLESS)
	@touch $@ $(DEMO)/package

# The demo runs the package as a user installs it, so a change of the sources is installed again.
$(DEMO)/package: $(DEMO)/ready $(SOURCES)
	$(DEMO)/bin/python $(PIP) --force-reinstall --no-deps .
	@touch $@

$(TEST)/ready: pyproject.toml $(CONSTRAINTS)
	$(PYTHON) -m venv $(TEST)
	$(TEST)/bin/python $(PIP) --editable '.[eval,test]'
	$(TEST)/bin/python $(PIP) $(HEADLESS)
	@touch $@

$(TORCH)/ready: pyproject.toml $(CONSTRAINTS)
	$(PYTHON) -m venv $(TORCH)
	$(TORCH)/bin/python $(PIP) --editable '.[eval,test,torch,ultralytics]'
	$(TORCH)/bin/python $(PIP) $(HEADLESS)
	@touch $@

# Not by the constraints: datumaro wants an older numpy.
$(IMPORTERS)/ready: pyproject.toml
	$(PYTHON) -m venv $(IMPORTERS)
	$(IMPORTERS)/bin/python -m pip --disable-pip-version-check install --quiet --editable '.[importers]'
	$(IMPORTERS)/bin/python $(PIP) $(HEADLESS)
	@touch $@

clean:
	rm -rf $(DEMO) $(TEST) $(TORCH) $(IMPORTERS) demo build dist
