"""Runs one job in Lava: `python worker.py FOLDER/job.npz`. Needs numpy, scipy and lava-nc; Python 3.10 or newer.

The job holds a netlist (JSON) and the arrays of each process. Results are .npy and .json files that the processes
themselves write into the folder. Starts nothing unless run as a script.
"""

import json
import os
import signal
import sys
import traceback

import numpy as np
from scipy.sparse import csr_matrix
from shim import import_var_model


def read_job(path):
    """The netlist and the arrays of each process by name."""
    with np.load(path, allow_pickle=False) as file:
        netlist = json.loads(str(file["netlist"]))
        arrays = {p["name"]: {} for p in netlist["processes"]}
        for key in set(file.files) - {"netlist"}:
            name, field = key.split("/")
            arrays[name][field] = file[key]
    return netlist, arrays


def build(kind, arguments, arrays):
    """One Lava process; stock kinds first, then our own."""
    from lava.proc.io.source import RingBuffer
    from lava.proc.lif.process import LIF
    from lava.proc.sparse.process import Sparse
    from lava.utils.weightutils import SignMode
    from procs.adaptive_lif import AdaptiveLIF
    from procs.delayed_sparse import DelayedSparse
    from procs.file_sink import FileSink
    from procs.readout import Readout
    from procs.sampled_lif import SampledLIF

    if kind == "RingBuffer":
        return RingBuffer(data=arrays["data"])
    if kind == "LIF":
        return LIF(shape=(arguments.pop("n"),), **arguments, **arrays)
    if kind == "Sparse":
        matrix = csr_matrix((arrays["data"], arrays["indices"], arrays["indptr"]), shape=arguments["shape"])
        return Sparse(weights=matrix, weight_exp=arguments["weight_exp"], sign_mode=SignMode[arguments["sign_mode"].upper()])
    own = {cls.__name__: cls for cls in (AdaptiveLIF, DelayedSparse, FileSink, Readout, SampledLIF)}
    return own[kind](**arguments, **arrays)


def networks(names, connections):
    """Connected parts of the netlist; Lava runs one at a time."""
    part = {name: {name} for name in names}
    for source, _, target, _ in connections:
        joined = part[source] | part[target]
        part.update(dict.fromkeys(joined, joined))
    return {id(members): members for members in part.values()}.values()


def end_with_parent():
    """A child that ends the whole process group when standard input closes: the parent holds it and may be killed."""
    if os.fork() == 0:
        os.read(0, 1)
        os.killpg(0, signal.SIGTERM)
        os._exit(0)


def run(path):
    """Build the netlist of a job, run it to its end."""
    import_var_model()
    from lava.magma.core.run_conditions import RunSteps
    from lava.magma.core.run_configs import Loihi2SimCfg

    netlist, arrays = read_job(path)
    os.chdir(os.path.dirname(os.path.abspath(path)))
    processes = {p["name"]: build(p["kind"], p["arguments"], arrays[p["name"]]) for p in netlist["processes"]}
    for source, out_port, target, in_port in netlist["connections"]:
        getattr(processes[source], out_port).connect(getattr(processes[target], in_port))
    for members in networks(processes, netlist["connections"]):
        first = processes[min(members)]
        try:
            first.run(condition=RunSteps(num_steps=netlist["n_total"]), run_cfg=Loihi2SimCfg(select_tag=netlist["tag"]))
        finally:
            print_exceptions(first)
        first.stop()


def print_exceptions(process):
    """Tracebacks from the operating-system processes of a failed network; Lava itself only logs them as information."""
    infrastructure = process.runtime._messaging_infrastructure if process.runtime else None
    for actor in infrastructure.actors if infrastructure else ():
        if actor.exception:
            print(actor.exception[1], file=sys.stderr)


if __name__ == "__main__":
    status = 0
    end_with_parent()
    try:
        run(sys.argv[1])
    except BaseException:
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # a normal exit would wait for children of a failed run, which wait for messages for ever
