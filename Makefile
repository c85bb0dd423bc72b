# One verb per thing a reader wants. Every recipe is what you would type yourself; on Windows,
# read .venv/bin as .venv\Scripts.
VENV ?= .venv
PY := $(VENV)/bin/python
RUN := $(PY) -m
INSTALLED := $(VENV)/.installed
OLDEST ?= python3.10
SENTENCES := data/vaderSentiment-3.3.2.tar.gz

.DEFAULT_GOAL := help
.PHONY: help run test lab venv student grade mirror keep lint figures screenshots bench \
	calibrate test-grading test-oldest fuzz

help:  ## this list
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:[^#]*## /\t/' | expand -t 16

run: venv  ## execute the notebook: build/EXP_MSA.ipynb and build/EXP_MSA.html
	$(RUN) nbconvert --to notebook --execute EXP_MSA.ipynb --output-dir build \
		--NotebookExporter.preprocessors=nbconvert.preprocessors.CoalesceStreamsPreprocessor \
		--ExecutePreprocessor.record_timing=False
	$(RUN) nbconvert --to msa_lab.report.html_page.OfflineHTMLExporter build/EXP_MSA.ipynb

test: venv  ## run the test suite, two files at a time
	$(RUN) pytest -n 2 --dist loadfile --no-loadscope-reorder

lab: venv  ## open the notebook in JupyterLab
	$(RUN) jupyterlab EXP_MSA.ipynb

venv: $(INSTALLED) $(SENTENCES)  ## make .venv with exact versions, fetch the sentences (the others do both)

$(INSTALLED): requirements.txt requirements-dev.txt constraints.txt
	python3 -m venv $(VENV)
	$(RUN) pip install --quiet --disable-pip-version-check -r requirements-dev.txt -c constraints.txt
	@touch $(INSTALLED)

# Real sentences for the stand-in data. Without a network this fails, the lab does without them, and
# the next `make` tries again.
$(SENTENCES): | $(INSTALLED)
	-$(RUN) msa_lab.data.reviews

student: venv  ## the fill-in edition: build/student/ and build/student.zip
	$(RUN) grading.release

grade: venv  ## grade SUBMISSIONS=dir, one folder per student: build/grades/
	$(RUN) grading.grade "$(SUBMISSIONS)"

mirror: venv  ## write msa_utils.py and the points from the notebook
	$(RUN) grading.mirror

keep: venv  ## put build/EXP_MSA.ipynb in the place of EXP_MSA.ipynb, without the data's sentences
	$(RUN) grading.keep

lint: venv  ## check style
	$(RUN) ruff check .
	$(RUN) ruff format --check .

figures: venv  ## draw the two frameworks in images/ again
	$(RUN) images.draw_framework
	$(RUN) images.draw_improved

screenshots: venv  ## take the pictures of the lab in images/ again (needs Chromium)
	$(RUN) images.take_screenshots

bench: venv  ## measure speed and memory beside a naive completion (a quarter of an hour)
	$(RUN) benchmarks.speed

calibrate: venv  ## measure the stand-ins against their targets (docs/stand-ins.md; an hour)
	$(RUN) benchmarks.calibrate reviews
	$(RUN) benchmarks.calibrate synthetic

test-grading: venv  ## the long tests of the grading (a quarter of an hour on 2 cores)
	$(RUN) pytest -m grading -s tests/test_grading.py

test-oldest:  ## the suite and a smoke run with the lowest versions, on Python 3.10 (gigabytes)
	$(OLDEST) -m venv .venv-oldest
	.venv-oldest/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt -c constraints-oldest.txt
	.venv-oldest/bin/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder
	MSA_PROFILE=smoke .venv-oldest/bin/python -m nbconvert --to notebook --execute EXP_MSA.ipynb --output-dir build/oldest

fuzz: venv  ## thousands of damaged and hostile files for the reader of pickles (minutes)
	$(RUN) tests.fuzz --count 20000
