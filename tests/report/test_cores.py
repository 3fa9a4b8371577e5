"""The picture of a map: links hold what messages pass walking tile by tile, squares are as full as cores, chips have borders."""

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.figure import Figure

from neuromorph.hardware import HardwareProfile
from neuromorph.mapping import ChipMap, Traffic, load_of, map_to_chip
from neuromorph.report.cores import core_grid, link_messages
from tests.mapping.test_load import run, tiny_chips
from tests.mapping.test_partition import small

CHIPS = pytest.mark.parametrize("profile", [small(compartments=6), tiny_chips()], ids=["one chip", "several"])


def links_by_hand(found: ChipMap, traffic: Traffic) -> dict[frozenset[tuple[int, int]], float]:
    """Messages over each pair of neighbouring tiles, message by message: along the row, then along the column."""
    x, y, _ = (each.tolist() for each in found.mesh.position(found.placement.slot))
    ways = [((x[a], y[a]), (x[b], y[b]), n) for (a, b), n in np.ndenumerate(traffic.between)]
    ways += [((0, 0), (x[b], y[b]), n) for b, n in enumerate(traffic.entering)]
    links: dict[frozenset[tuple[int, int]], float] = {}
    for (i, j), there, messages in ways:
        while (i, j) != there:
            before = (i, j)
            if i != there[0]:
                i += 1 if there[0] > i else -1
            else:
                j += 1 if there[1] > j else -1
            link = frozenset((before, (i, j)))
            links[link] = links.get(link, 0.0) + messages
    return {link: messages for link, messages in links.items() if messages}


def mapped(profile: HardwareProfile, seed: int = 0) -> tuple[ChipMap, Traffic, tuple[float, float]]:
    """A map, its traffic, and its hops east-west and north-south."""
    graph, _, spikes, _ = run(profile, seed)
    found, traffic = map_to_chip(graph, profile, spikes)
    load = load_of(graph, found, spikes, profile)
    return found, traffic, (load.hops_ew, load.hops_ns)


@CHIPS
@pytest.mark.parametrize("seed", range(3))
def test_messages_of_links(profile: HardwareProfile, seed: int) -> None:
    found, traffic, hops = mapped(profile, seed)
    along, down = link_messages(found, traffic)
    told = {frozenset(((i, j), (i + 1, j))): n for (j, i), n in np.ndenumerate(along) if n}
    told |= {frozenset(((i, j), (i, j + 1))): n for (j, i), n in np.ndenumerate(down) if n}
    assert told == pytest.approx(links_by_hand(found, traffic))
    assert (along.sum(), down.sum()) == pytest.approx(hops)
    assert sum(hops) > 0


@CHIPS
def test_what_is_drawn(profile: HardwareProfile) -> None:
    found, traffic, _ = mapped(profile)
    other, mine = Figure().subplots(1, 2)
    ax = core_grid(found, traffic, profile, mine)
    assert ax is mine
    assert not other.collections
    squares, used = [c.get_paths() for c in ax.collections if isinstance(c, PolyCollection)]
    height = [[np.ptp(path.vertices[:, 1]) for path in paths] for paths in (squares, used)]
    assert len(squares) == found.mesh.n_cores
    shares = dict(enumerate(np.divide(height[1], height[0]).tolist()))
    assert {core: share for core, share in shares.items() if share > 0} == pytest.approx(found.fullness(profile))
    assert all(np.isclose(a.vertices[:, 1].max(), b.vertices[:, 1].max()) for a, b in zip(squares, used))  # from below: y points down
    (links,) = [c for c in ax.collections if isinstance(c, LineCollection)]
    along, down = link_messages(found, traffic)
    messages = np.concatenate([along[along > 0], down[down > 0]])
    assert len(links.get_segments()) == len(messages)
    assert np.argmax(links.get_linewidths()) == np.argmax(messages)
    chips = [text.get_text() for text in ax.texts]
    assert chips == ([f"chip {k}" for k in range(found.mesh.chips)] if found.mesh.chips > 1 else [])
    legend = ax.get_legend()
    assert legend is not None
    told = [text.get_text() for text in legend.get_texts()]
    assert told[0] == "used share of a core's fullest resource"
    assert told[1] == f"{messages.max():,.0f} messages, the heaviest link"
    assert ("border of a chip" in told) == (found.mesh.chips > 1)


def test_borders_hold_the_tiles_of_their_chip() -> None:
    profile = tiny_chips()
    found, traffic, _ = mapped(profile)
    ax = core_grid(found, traffic, profile)
    x, y, chip = found.mesh.position(np.arange(found.mesh.n_cores))
    frames = {patch.get_label(): patch.get_bbox() for patch in ax.patches}
    assert len(frames) == found.mesh.chips > 1
    for i, j, k in zip(x, y, chip):
        assert [name for name, box in frames.items() if box.contains(i, j)] == [f"chip {k}"]


def test_a_map_without_messages_has_no_links() -> None:
    profile = small(compartments=6)
    found, traffic, _ = mapped(profile)
    silent = replace(traffic, between=np.zeros_like(traffic.between), entering=np.zeros_like(traffic.entering))
    ax = core_grid(found, silent, profile)
    assert not any(len(c.get_segments()) for c in ax.collections if isinstance(c, LineCollection))
