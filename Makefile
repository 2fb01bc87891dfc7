# make demo: install, then pretrain on the demo set    make test: install, then test
# make demo TORCH_INDEX=cpu: with a torch without CUDA, from PyTorch's own index
PYTHON ?= python3
BIN := .venv/bin
TORCH := torch==2.14.1 torchvision==0.29.1
TORCH_INDEX ?=
PIP_INSTALL := $(BIN)/python -m pip install -q --disable-pip-version-check
# shared libraries of open3d and OpenCV, and the Debian packages that have them
LIBRARIES := libusb-1.0.so.0:libusb-1.0-0 libGL.so.1:libgl1 libgthread-2.0.so.0:libglib2.0-0

.PHONY: demo test lint

demo: .venv/installed
	$(BIN)/python tools/train.py configs/simsiam_ccrop_coco.py

test: .venv/installed
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal -m 'not timing'
	$(BIN)/python -m pytest -m timing $$(grep -rl 'mark\.timing' --include='test_*.py' tests)

lint: .venv/installed
	$(BIN)/ruff check

.venv/installed: setup.cfg pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' \
		|| { echo "ccrop needs Python 3.10 to 3.13; name one: make PYTHON=python3.11 ..."; exit 1; }
	@missing=; for pair in $(LIBRARIES); do \
		/sbin/ldconfig -p | grep -q "$${pair%%:*}" || missing="$$missing $${pair##*:}"; done; \
	if [ -z "$$missing" ]; then :; \
	elif [ "$$(id -u)" = 0 ]; then apt-get update -qq && apt-get install -y -qq $$missing; \
	elif sudo -n true 2>/dev/null; then sudo apt-get update -qq && sudo apt-get install -y -qq $$missing; \
	else echo "Please install these system libraries: apt-get install$$missing"; fi
	$(PYTHON) -m venv .venv
	$(if $(TORCH_INDEX),$(PIP_INSTALL) $(TORCH) --index-url https://download.pytorch.org/whl/$(TORCH_INDEX))
	$(PIP_INSTALL) $(TORCH) -e '.[dev,export,lidar]'
	@touch $@
