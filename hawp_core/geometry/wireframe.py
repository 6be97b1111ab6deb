"""What a wireframe is.

Coordinates are (x, y) in pixels, the centre of the top-left pixel at (0, 0): the convention of OpenCV.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Wireframe:
    """Junctions and the line segments between them, in one image.

    Attributes:
        junctions: (N, 2) float32, x and y in pixels.
        edges: (M, 2) int32, junction indices, the smaller first, no pair twice.
        scores: (M,) float32, confidence of each edge in [0, 1].
        width: image width, pixels.
        height: image height, pixels.

    Raises:
        ValueError: shapes that do not fit, or an edge that names a missing junction.
    """

    junctions: np.ndarray
    edges: np.ndarray
    scores: np.ndarray
    width: int
    height: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "junctions", np.asarray(self.junctions, np.float32).reshape(-1, 2))
        object.__setattr__(self, "edges", np.asarray(self.edges, np.int32).reshape(-1, 2))
        object.__setattr__(self, "scores", np.asarray(self.scores, np.float32).reshape(-1))
        if len(self.scores) != len(self.edges):
            raise ValueError(f"{len(self.edges)} edges but {len(self.scores)} scores")
        if len(self.edges) and not (0 <= self.edges.min() and self.edges.max() < len(self.junctions)):
            raise ValueError(f"an edge names a junction outside 0..{len(self.junctions) - 1}")

    def __repr__(self) -> str:
        """Its size in numbers; the arrays are for programs."""
        return f"<Wireframe of {self.width} x {self.height} pixels: {len(self.junctions)} junctions, {len(self.edges)} lines>"

    @property
    def lines(self) -> np.ndarray:
        """(M, 4) float32: x1, y1, x2, y2 of every edge, pixels."""
        return self.junctions[self.edges].reshape(-1, 4)

    @classmethod
    def from_lines(
        cls, lines: np.ndarray, width: int, height: int, scores: np.ndarray | None = None, *, merge: float = 1e-3
    ) -> "Wireframe":
        """Join equal endpoints of `lines` (M, 4) into junctions.

        Endpoints that round to the same multiple of `merge` pixels become one junction (the first one's
        position). Lines of zero length and repeated lines are left out; of repeats the first one's score stays.
        """
        lines = np.asarray(lines, np.float64).reshape(-1, 4)
        scores = np.ones(len(lines)) if scores is None else np.asarray(scores, np.float64)
        ends = lines.reshape(-1, 2)
        _, first, inverse = np.unique(
            np.round(ends / merge).astype(np.int64), axis=0, return_index=True, return_inverse=True
        )
        # Junctions in order of first appearance, so that the result does not depend on the sorting of floats.
        order = np.argsort(first, kind="stable")
        rank = np.empty_like(order)
        rank[order] = np.arange(len(order))
        edges = np.sort(rank[inverse.reshape(-1)].reshape(-1, 2), axis=1)
        kept = edges[:, 0] != edges[:, 1]
        _, unique = np.unique(edges[kept], axis=0, return_index=True)
        rows = np.flatnonzero(kept)[np.sort(unique)]
        return cls(ends[first[order]], edges[rows], scores[rows], width, height).without_lone_junctions()

    @classmethod
    def empty(cls, width: int, height: int) -> "Wireframe":
        """No junction, no line."""
        return cls(np.zeros((0, 2)), np.zeros((0, 2)), np.zeros(0), width, height)

    def without_lone_junctions(self) -> "Wireframe":
        """Only the junctions that an edge uses."""
        used = np.zeros(len(self.junctions), bool)
        used[self.edges.reshape(-1)] = True
        index = np.cumsum(used) - 1
        return Wireframe(self.junctions[used], index[self.edges], self.scores, self.width, self.height)

    def resized(self, width: int, height: int) -> "Wireframe":
        """The same wireframe in the image resized to `width` x `height` pixels (pixel areas scale, not centres)."""
        factor = np.array([width / self.width, height / self.height])
        return Wireframe((self.junctions + 0.5) * factor - 0.5, self.edges, self.scores, width, height)
