#!/usr/bin/env bash
# What somebody does who has just read the README, in an empty folder: first_time.sh WHEEL PYTHON EXAMPLE [LENT RUN]
# EXAMPLE: the README's example as a file. To save time, LENT: a site-packages folder that has what the extras install;
# RUN: the folder of a run as `neuromorph demo` leaves it. Without them pip installs the extras, and the demo runs.
set -euo pipefail
wheel=$1 python=$2 example=$3 lent=${4:-} run=${5:-}

"$python" -m venv venv
source venv/bin/activate
pip install --quiet --disable-pip-version-check "$wheel"
neuromorph doctor
neuromorph profiles list

if [ -n "$lent" ]; then
  python "$(dirname "$0")/lend.py" "$lent"
else
  pip install --quiet --disable-pip-version-check "neuromorph[all] @ file://$wheel"
fi
python -c 'import neuromorph, sys; assert neuromorph.__file__.startswith(sys.prefix), neuromorph.__file__'
neuromorph doctor --quick
python "$example"

if [ -z "$run" ]; then
  run=runs/demo
  neuromorph demo --epochs 1 --brian2-samples 1 --lava-samples 1 --out "$run"
fi
neuromorph inspect "$run/model.h5"
neuromorph check "$run/model.h5" --profile loihi2
neuromorph quantize "$run/model.h5" --profile loihi2 --out integers.h5
neuromorph run integers.h5 "$run/test.h5" --counts
neuromorph energy integers.h5 "$run/test.h5" --profile loihi2 --map --compare
neuromorph report "$run"
test -s "$run/report.html"

python - other.nir <<'PYTHON'
import sys, nir, numpy as np
lif = nir.LIF(*(np.full(3, value) for value in (10e-3, 1.0, 0.0, 0.1)))
nodes = {"input": nir.Input(np.array([2])), "w": nir.Linear(np.ones((3, 2))), "lif": lif, "output": nir.Output(np.array([3]))}
nir.write(sys.argv[1], nir.NIRGraph(nodes, [("input", "w"), ("w", "lif"), ("lif", "output")]))
PYTHON
neuromorph import other.nir --dt 1e-3 --out imported.h5
neuromorph inspect imported.h5
neuromorph nir imported.h5 --out again.nir
