"""MMEngine starts without transformers, everybody else gets it."""

import subprocess
import sys

import pytest


def test_transformers_is_not_imported_with_mmengine_and_can_be_afterwards():
    pytest.importorskip("transformers")
    code = (
        "import sys, ccrop, mmengine.optim as optim; first = 'transformers' in sys.modules; import transformers;"
        "print(first, 'Adafactor' in optim.OPTIMIZERS.module_dict, transformers.__name__)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["False", "False", "transformers"]
