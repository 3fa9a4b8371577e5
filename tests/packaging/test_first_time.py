"""The path of somebody who comes to neuromorph for the first time, with the wheel alone, outside any checkout."""

import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

from neuromorph.spikes import Spikes
from tests.packaging.venvs import ROOT, need_index
from tests.report.conftest import random_graph, write_run

SCRIPT = Path(__file__).with_name("first_time.sh")


def test_from_pip_to_the_report(wheel: Path, tmp_path: Path) -> None:
    """The script; torch and others are lent from this environment, and one epoch must do in the README's example."""
    import numpy as np

    need_index()
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)
    example = tmp_path / "example.py"
    example.write_text(re.sub(r'"epochs": \d+', '"epochs": 1', code))
    inputs = Spikes.from_dense(np.random.default_rng(2).random((60, 8, 12)) < 0.1, 1e-3)
    (tmp_path / "run").mkdir()
    run = write_run(tmp_path / "run", random_graph(1, metadata={"decision_window": "20"}), inputs)
    here = tmp_path / "here"
    here.mkdir()
    python = Path(sys.base_prefix) / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}"
    command = ["bash", str(SCRIPT), str(wheel), str(python), str(example), sysconfig.get_path("purelib"), str(run)]
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV", "TRITON_INTERPRET")}
    done = subprocess.run(command, cwd=here, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    assert "brian2 float64 against reference, 5 samples: identical" in done.stdout
    assert "uJ per inference" in done.stdout
    assert "To get what is missing" in done.stdout, "doctor in the core alone"
    assert (run / "report.html").stat().st_size > 10_000
    assert "imported.h5: float graph, 3 neurons, 6 synapses" in done.stdout
