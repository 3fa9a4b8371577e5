"""Whole data sets in shards of samples: on this machine or a cluster, each shard kept in a file, so that a run can go on."""

from neuromorph.shards.pools import Pool, Pools, dask, processes, serial
from neuromorph.shards.result import Shard, Shards
from neuromorph.shards.run import run_shards

__all__ = ["Pool", "Pools", "Shard", "Shards", "dask", "processes", "run_shards", "serial"]
