"""Lava adds up what arrives at a port in the order of a set of processes, which differs from run to run; so do sums of floats.

Here it is the order in which the processes were made: that of the graph's projections, as in the reference simulator.
"""


def order_channels():
    """Have Lava's compiler connect ports in the order of their source processes; call before a network is built."""
    from lava.magma.compiler.channel_map import ChannelMap

    pairs_of = ChannelMap._get_port_pairs_from_proc_groups.__func__  # pyright: ignore[reportFunctionMemberAccess]

    def in_order(cls, proc_groups):
        return sorted(pairs_of(cls, proc_groups), key=lambda pair: pair.src.process.id)

    ChannelMap._get_port_pairs_from_proc_groups = classmethod(in_order)  # pyright: ignore[reportAttributeAccessIssue]
