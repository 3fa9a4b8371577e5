"""What a NIR graph does, by its equations alone: Euler's rule, dense arrays, torch's convolutions, nothing that takes time but what must.

A node is computed after those that it reads in this step; a neuron that reads itself, or a loop that a Delay breaks, reads the past.
"""

from collections.abc import Mapping

import nir
import numpy as np
import torch
from torch.nn import functional

NEURONS = (nir.I, nir.IF, nir.LI, nir.LIF, nir.CubaLI, nir.CubaLIF, nir.Threshold)


def flat(graph: nir.NIRGraph, prefix: str = "") -> tuple[dict[str, nir.NIRNode], list[tuple[str, str]]]:
    nodes, edges = {}, []
    for name, node in graph.nodes.items():
        if isinstance(node, nir.NIRGraph):
            inner, own = flat(node, f"{prefix}{name}/")
            nodes |= inner
            edges += own
        else:
            nodes[prefix + name] = node
    for a, b in graph.edges:
        source = f"{prefix}{a}/output" if isinstance(graph.nodes[a], nir.NIRGraph) else prefix + a
        target = f"{prefix}{b}/input" if isinstance(graph.nodes[b], nir.NIRGraph) else prefix + b
        edges.append((source, target))
    return nodes, edges


def simulate(graph: nir.NIRGraph, x: np.ndarray, dt: float, spikes: str = "usual") -> Mapping[str, np.ndarray]:
    """Outputs of all nodes [steps, ...] for one sample x [steps, n]."""
    nodes, edges = flat(graph)
    into = {name: [a for a, b in edges if b == name] for name in nodes}
    past: dict[str, list[np.ndarray]] = {name: [] for name in nodes}
    state: dict[str, dict[str, np.ndarray]] = {name: {} for name in nodes}
    for t, shown in enumerate(x):
        now: dict[str, np.ndarray] = {}

        def value(name: str, waiting: tuple[str, ...] = (), t=t, now=now, shown=shown) -> np.ndarray:
            if name in now:
                return now[name]
            node = nodes[name]
            if isinstance(node, nir.Input) and "/" not in name:
                return now.setdefault(name, shown.reshape(tuple(node.input_type["input"])).astype(float))
            if isinstance(node, nir.Delay):
                steps = np.round(node.delay / dt).astype(int)
                ready = [value(a, (*waiting, name)) if (steps == 0).any() else None for a in into[name]]
                out = np.zeros(node.delay.shape)
                for k, d in enumerate(steps.ravel()):
                    for a, current in zip(into[name], ready):
                        if d == 0 and current is not None:
                            out.ravel()[k] += current.ravel()[k]
                        elif t - d >= 0:
                            out.ravel()[k] += before(a, t - d)[k]
                return now.setdefault(name, out)
            arriving = sum(read(a, name, waiting, value, past, nodes, into) for a in into[name])
            return now.setdefault(name, computed(node, np.asarray(arriving), state[name], dt, spikes))

        def before(name: str, step: int) -> np.ndarray:
            return past[name][step].ravel()

        for name in nodes:
            value(name)
        for name, out in now.items():
            past[name].append(out)
    return {name: np.stack(values) for name, values in past.items()}


def read(source, target, waiting, value, past, nodes, into):
    """What `source` gives `target` in this step; where `source` waits for `target` itself, what it gave by the neuron's last output."""
    if source in (*waiting, target) or (isinstance(nodes[source], (nir.Linear, nir.Affine)) and into[source] == [target]):
        last = past[target][-1] if past[target] else None
        node = nodes[source]
        zero = np.zeros(node.weight.shape[1])
        return computed(node, zero if last is None else last, {}, 0.0, "")
    return value(source, (*waiting, target))


def computed(node: nir.NIRNode, x: np.ndarray, s: dict[str, np.ndarray], dt: float, spikes: str) -> np.ndarray:
    match node:
        case nir.Affine() | nir.Linear():
            return node.weight @ x.ravel() + getattr(node, "bias", 0.0)
        case nir.Scale():
            return x * node.scale
        case nir.Conv1d() | nir.Conv2d():
            conv = functional.conv1d if isinstance(node, nir.Conv1d) else functional.conv2d
            numbers = {name: getattr(node, name) for name in ("stride", "padding", "dilation", "groups")}
            whole = {k: v if isinstance(v, str) else tuple(int(i) for i in np.atleast_1d(v)) for k, v in numbers.items()}
            whole["groups"] = int(np.asarray(node.groups))
            return conv(torch.from_numpy(x)[None], torch.from_numpy(node.weight), torch.from_numpy(node.bias), **whole)[0].numpy()
        case nir.SumPool2d() | nir.AvgPool2d():
            kernel, stride, padding = (tuple(int(i) for i in each) for each in (node.kernel_size, node.stride, node.padding))
            mean = functional.avg_pool2d(torch.from_numpy(x)[None], kernel, stride, padding)[0].numpy()
            return mean * (kernel[0] * kernel[1] if isinstance(node, nir.SumPool2d) else 1)
        case nir.Flatten():
            return x.ravel()
        case nir.Threshold():
            return (x > node.threshold).astype(float)
    if not isinstance(node, NEURONS):
        return x
    leak = getattr(node, "v_leak", 0.0)
    v = s.setdefault("v", np.zeros(x.shape) + leak)
    if isinstance(node, (nir.I, nir.IF)):
        v = v + node.r * x.reshape(v.shape) * (dt if spikes == "current" else 1.0)
    else:
        current = x.reshape(v.shape)
        if isinstance(node, (nir.CubaLI, nir.CubaLIF)):
            i = s.setdefault("i", np.zeros(v.shape))
            drive = node.w_in * current
            i = i + (dt * (-i) + drive * (1.0 if spikes == "charge" else dt)) / node.tau_syn
            s["i"] = current = i
        elif spikes == "charge":
            current = current / dt
        v = v + dt / (node.tau_mem if hasattr(node, "tau_mem") else node.tau) * (leak - v + node.r * current)
    s["v"] = v
    if not hasattr(node, "v_threshold"):
        return v
    z = v > node.v_threshold
    s["v"] = np.where(z, node.v_reset, v)
    return z.astype(float)
