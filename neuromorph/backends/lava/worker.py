"""Keeps a netlist alive in Lava: `python worker.py FOLDER`. Needs numpy, scipy and lava-nc; Python 3.10 or newer.

FOLDER/netlist.npz holds the netlist (JSON) and the arrays of each process. Commands are lines of JSON on standard input, each
a call: `n_samples` samples of `n_steps` steps, whose input lies and whose results are put in `folder`. A `live` call is the first of any
number of steps, each of which a command that `goes_on` asks for. Answers are lines of JSON on standard output, one when the network
stands and one after every sample. Starts nothing unless run as a script.
"""

import json
import os
import select
import signal
import sys
import threading
import time
import traceback
from multiprocessing import current_process

import numpy as np
from order import order_channels
from scipy.sparse import csr_matrix
from shim import import_var_model

PATIENCE = 0.2  # seconds between two looks at the processes
NEVER = 2**62  # a step that no network comes to
LAST_WORDS = 5.0  # seconds that a failing process may take to hand over its traceback


def read_netlist(path):
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
    from lava.proc.lif.process import LIF
    from lava.proc.sparse.process import Sparse
    from lava.utils.weightutils import SignMode
    from procs.adaptive_lif import AdaptiveLIF
    from procs.delayed_sparse import DelayedSparse
    from procs.file_signal import FileSignal
    from procs.file_sink import FileSink
    from procs.file_source import FileSource
    from procs.plastic_sparse import PlasticSparse
    from procs.readout import Readout
    from procs.sampled_lif import SampledLIF

    if kind == "LIF":
        return LIF(shape=(arguments.pop("n"),), **arguments, **arrays)
    if kind == "Sparse":
        matrix = csr_matrix((arrays["data"], arrays["indices"], arrays["indptr"]), shape=arguments["shape"])
        return Sparse(weights=matrix, weight_exp=arguments["weight_exp"], sign_mode=SignMode[arguments["sign_mode"].upper()])
    if kind == "SampledLearningDense":
        from procs_stock.sampled_learning_dense import SampledLearningDense

        return SampledLearningDense(**arguments, **arrays)
    own = {cls.__name__: cls for cls in (AdaptiveLIF, DelayedSparse, FileSignal, FileSink, FileSource, PlasticSparse, Readout, SampledLIF)}
    return own[kind](**arguments, **arrays)


def networks(names, connections):
    """Connected parts of the netlist; each is a network, with a runtime of its own."""
    part = {name: {name} for name in names}
    for source, _, target, _ in connections:
        joined = part[source] | part[target]
        part.update(dict.fromkeys(joined, joined))
    return {id(members): members for members in part.values()}.values()


def start(path):
    """Build the netlist and start its processes; the Lava runtime of each network."""
    import_var_model()
    order_channels()
    from lava.magma.core.run_configs import Loihi2SimCfg

    netlist, arrays = read_netlist(path)
    processes = {p["name"]: build(p["kind"], p["arguments"], arrays[p["name"]]) for p in netlist["processes"]}
    for source, out_port, target, in_port in netlist["connections"]:
        getattr(processes[source], out_port).connect(getattr(processes[target], in_port))
    firsts = [processes[min(members)] for members in networks(processes, netlist["connections"])]
    for first in firsts:
        first.create_runtime(run_cfg=Loihi2SimCfg(select_tag=netlist["tag"]))
    return [first.runtime for first in firsts]


def simulate(runtimes, n_steps):
    """Run every network for `n_steps`, side by side."""
    from lava.magma.core.run_conditions import RunSteps

    for runtime in runtimes:
        runtime.start(RunSteps(num_steps=n_steps, blocking=False))
    for runtime in runtimes:
        watch(runtime)
        runtime.wait()


def watch(runtime):
    """Return when a run is done; raise where a process failed or was killed, for which Lava itself would wait for ever."""
    from lava.magma.runtime.mgmt_token_enums import MGMT_RESPONSE, enum_equal

    ended = threading.Event()
    (port,) = runtime.service_to_runtime
    port.observer = ended.set
    actors = runtime._messaging_infrastructure.actors
    while not port.probe() and not ended.wait(PATIENCE):
        if not all(actor.is_alive() for actor in actors):
            raise RuntimeError(last_words(actors))
    if not enum_equal(port.peek(), MGMT_RESPONSE.DONE):
        raise RuntimeError(last_words(actors))


def last_words(actors):
    """What the processes of a failed network left: tracebacks, or the status of those that were killed."""
    deadline = time.monotonic() + LAST_WORDS
    while True:
        raised = [actor.exception[1] for actor in actors if actor.exception]
        killed = [f"{actor.name} ended with status {actor.exitcode}" for actor in actors if actor.exitcode]
        if raised or killed or time.monotonic() > deadline:
            return "\n".join(["A process of the network failed.", *(raised or killed)])
        time.sleep(0.05)


def shared_memory(runtime):
    """Names of a network's shared memory."""
    return [part.name for part in runtime._messaging_infrastructure.smm._shared_memory_handles]


def serve(folder):
    """Start the netlist of a folder and carry out calls until standard input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what Lava prints must not mix with the answers

    def answer(**news):
        print(json.dumps(news), file=answers, flush=True)

    os.chdir(folder)
    # multiprocessing puts its sockets here; else it would leave a folder of them elsewhere
    current_process()._config["tempdir"] = "."  # pyright: ignore[reportAttributeAccessIssue]
    runtimes = start("netlist.npz")
    answer(shared_memory=[name for runtime in runtimes for name in shared_memory(runtime)])
    steps = 0
    for line in iter(sys.stdin.readline, ""):
        call = json.loads(line)
        first, steps = steps + 1, steps + call["n_steps"] * call["n_samples"]
        if not call.get("goes_on"):
            with open("call.json", "w") as file:
                json.dump({**call, "first": first, "last": NEVER if call["live"] else steps}, file)
        for sample in range(call["n_samples"]):
            simulate(runtimes, call["n_steps"])
            answer(done=sample + 1)


def end_with_parent():
    """A child that ends the whole process group when nobody can write to standard input any more: the parent may be killed."""
    if os.fork() == 0:
        hang_up = select.poll()
        hang_up.register(0, 0)
        hang_up.poll()
        os.killpg(0, signal.SIGTERM)
        os._exit(0)


if __name__ == "__main__":
    status = 0
    end_with_parent()
    try:
        serve(sys.argv[1])
    except BaseException:
        traceback.print_exc()
        status = 1
    sys.stderr.flush()
    os._exit(status)  # a normal exit would wait for the processes of the network, which wait for commands
