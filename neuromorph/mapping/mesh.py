"""Where cores lie: tiles in a mesh, chips in a square, and how many routers a message passes."""

from dataclasses import dataclass, replace

import numpy as np

from neuromorph.hardware import HardwareProfile
from neuromorph.shapes import Int64


@dataclass(frozen=True)
class Mesh:
    """`chips` of `columns` x `rows` tiles with `cores_per_tile` cores each; core k lies on chip k // cores_per_chip, row by row.

    Messages go along the row first, then along the column (XY routing). The chips form a square, filled row by row. Spikes from outside
    enter at the first tile.
    """

    columns: int
    rows: int
    cores_per_tile: int
    chips: int = 1

    @classmethod
    def of(cls, profile: HardwareProfile, n_cores: int) -> "Mesh":
        """The fewest chips that hold so many cores.

        Raises:
            ProfileError: the profile does not say how its cores lie.
        """
        mesh = cls(profile.limit("mesh_columns"), profile.limit("mesh_rows"), profile.limit("cores_per_tile"))
        return replace(mesh, chips=max(1, -(-n_cores // mesh.cores_per_chip)))

    @property
    def cores_per_chip(self) -> int:
        return self.columns * self.rows * self.cores_per_tile

    @property
    def side(self) -> int:
        """Chips in a row of the square."""
        return int(np.ceil(np.sqrt(self.chips)))

    @property
    def n_cores(self) -> int:
        return self.chips * self.cores_per_chip

    def position(self, core: Int64[np.ndarray, "..."]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Column and row of the tiles of physical cores, counted over all chips, and the chips."""
        chip, inside = np.divmod(core, self.cores_per_chip)
        row, column = np.divmod(inside // self.cores_per_tile, self.columns)
        return chip % self.side * self.columns + column, chip // self.side * self.rows + row, chip

    def hops(self, a: Int64[np.ndarray, "..."], b: Int64[np.ndarray, "..."]) -> tuple[np.ndarray, np.ndarray]:
        """Hops along the row (east-west) and along the column (north-south) from physical cores a to b."""
        (ax, ay, _), (bx, by, _) = self.position(a), self.position(b)
        return np.abs(ax - bx), np.abs(ay - by)

    def crossings(self, a: Int64[np.ndarray, "..."], b: Int64[np.ndarray, "..."]) -> np.ndarray:
        """Borders between chips that a message from a to b passes."""
        (ax, ay, _), (bx, by, _) = self.position(a), self.position(b)
        return np.abs(ax // self.columns - bx // self.columns) + np.abs(ay // self.rows - by // self.rows)
