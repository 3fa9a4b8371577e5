"""All plots, each on one matplotlib axis: pass `ax` to compose them, leave it out for a figure of its own; the axis comes back.

    figure, (left, right) = plt.subplots(1, 2, layout="constrained")
    plots.raster({**inputs, **recording.spikes}, ax=left)
    plots.states(recording, "hidden", graph=graph, ax=right)

Spikes: `raster`, `rates`. Traces: `states`, `readouts`, `learning_traces`. Networks: `connectivity`, `weights`. Chips: `core_grid`,
`energy_terms` (the breakdown of one estimate), `energy_bars` (several chips). Training: `learning_curve`. None uses pyplot.
"""

from neuromorph.errors import NeuromorphError
from neuromorph.extras import remedy

try:
    import matplotlib as _  # noqa: F401
except ImportError as error:
    raise NeuromorphError(f"matplotlib cannot be imported ({error}); install it: {remedy('matplotlib')}") from error

from neuromorph.report.cores import core_grid
from neuromorph.report.learning import learning_traces
from neuromorph.report.plots import connectivity, energy_bars, energy_terms, learning_curve, raster, rates, readouts, weights
from neuromorph.report.states import states

__all__ = [
    "connectivity",
    "core_grid",
    "energy_bars",
    "energy_terms",
    "learning_curve",
    "learning_traces",
    "raster",
    "rates",
    "readouts",
    "states",
    "weights",
]
