"""What a sharded run leaves behind: files in the order of their samples, and the samples that failed."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from neuromorph.errors import BackendError
from neuromorph.shards.job import Job, Result


@dataclass(frozen=True)
class Shard:
    """Consecutive samples and the file of their result."""

    samples: range
    path: Path


@dataclass(frozen=True, eq=False)
class Shards:
    """`done`: shards with a result, in the order of their samples. `failed`: why the others have none, by samples.

    Iterating gives (samples, result) of the done ones, read one at a time: a data set need not fit in memory. A result is a
    `Recording`, or a `Summary` where spikes were only counted.
    """

    job: Job
    done: tuple[Shard, ...]
    failed: Mapping[range, str]

    @property
    def files(self) -> tuple[Path, ...]:
        """Files of the done shards; two shards of equal samples have one."""
        return tuple(dict.fromkeys(shard.path for shard in self.done))

    def __iter__(self) -> Iterator[tuple[range, Result]]:
        for shard in self.done:
            yield shard.samples, self.job.load(shard.path)

    def join(self) -> Result:
        """All samples in one result, equal to that of a run that was not sharded.

        Raises:
            BackendError: some samples failed.
            FormatError, FileNotFoundError: a file was damaged or removed since the run.
        """
        if self.failed:
            told = "; ".join(f"{samples.start}..{samples.stop - 1}: {why}" for samples, why in self.failed.items())
            raise BackendError(
                f"Shards: {sum(map(len, self.failed))} samples have no result ({told}). Mend the cause and run again: "
                "only these are computed. Or iterate over what is done."
            )
        return self.job.kind.join([result for _, result in self])
