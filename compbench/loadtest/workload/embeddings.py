"""Embeddings as models make them: their shape is published here, their directions are drawn from the seed.

What an index meets in a set of real embeddings is its geometry: how many dimensions a neighbourhood has, how unevenly
the variance is spread over the directions, how far the nearest neighbours are. All of that survives a rotation, so a
few numbers, fitted to a real set (`docs/data.md`), and random directions give a set of any size that no one has to
download.

A model maps the few things in which texts or pictures differ onto many dimensions, continuously and not linearly. So is
a row made here:

- a place in a latent space of few dimensions: a topic, of which some are much commoner than others, and the row's own
  deviation from it; some rows have a narrow topic, within one of the others, so that a few others are much nearer;
- the sine of random linear functions of the place, one for each dimension of the row (random Fourier features; Rahimi
  and Recht 2007). Places that are near give rows that are near; places that are far give rows at a right angle or a
  little less, so that the rows have a common mean and fill all dimensions;
- noise, which no row shares with another.

Rows are independent of each other, so their order is random, and any beginning of a set is a smaller set of the same
kind. They come in chunks of 1024; a chunk is a function of seed and number alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from compbench.loadtest.workload.streams import (
    CHUNK,
    DIRECTIONS,
    FOREIGN,
    HELD_OUT,
    JITTERED,
    MEMBERS,
    NEAR_DUPLICATES,
    stream,
)
from compbench.model.scenario import QueryKind

if TYPE_CHECKING:
    from compbench.systems.api import Vectors

# The published parameters. Noise in shares of a row's squared length; it holds cosines of rows down to 1 - NOISE,
# since some databases merge vectors from 0.95 on.
NOISE = 0.056
# Dimensions of the latent space; number i has a standard deviation in proportion to i to the power of -LATENT_DECAY.
LATENT, LATENT_DECAY = 26, 0.4
# How fast rows turn with their place: standard deviation of an angle over the whole set, in radians.
ANGLE = 1.6
# How many topics; their shares of the rows fall as the topic's number to the power of -TOPIC_DECAY. Share of the latent
# variance that lies between them.
TOPICS, TOPIC_DECAY, BETWEEN_TOPICS = 600, 0.5, 0.5
# How many narrow topics, share of the rows that have one, and its radius in relation to another topic's.
NARROW_TOPICS, NARROW_SHARE, NARROW_RADIUS = 1500, 0.275, 0.57
# Cosines of near duplicates to their originals, of jittered queries to their rows.
NEAR_DUPLICATE = (0.96, 0.999)
JITTERED_TO = 0.98
# Jittered queries are of the rows of so many chunks, spread evenly over the set: making a chunk takes milliseconds.
JITTERED_CHUNKS = 64
# Shares of a foreign query's squared length: a mean of its own, and what it has of the rows' kind; the rest is noise.
FOREIGN_MEAN, FOREIGN_KIN = 0.3, 0.2


class Embeddings:
    """A set of embeddings of any number of rows; each row is float32 and of length 1.

    Args:
        dimension: of a row. The shape is much the same from 128 to 4096; below 52 the latent space has half as many.
        seed: chooses all directions and places.
        near_duplicates: share of the rows that are near duplicates of another row, at a cosine of 0.96 to 0.999.
            Without them no two rows are at 0.95 or nearer, from 256 dimensions up.
    """

    def __init__(self, dimension: int, seed: int, near_duplicates: float = 0.0) -> None:
        self._dimension = dimension
        self._seed = seed
        self._near_duplicates = near_duplicates
        rng = stream(seed, DIRECTIONS)
        latent = min(LATENT, dimension // 2)
        deviations = np.arange(1, latent + 1) ** -LATENT_DECAY
        deviations /= np.linalg.norm(deviations)
        # What each latent dimension contributes to the angles, so that these vary by ANGLE.
        self._turns = rng.standard_normal((latent, dimension), np.float32)
        self._turns *= (deviations * ANGLE).astype(np.float32)[:, None]
        self._phases = rng.random(dimension, np.float32) * np.float32(2 * np.pi)
        common = np.arange(1, TOPICS + 1) ** -TOPIC_DECAY
        common *= (1 - NARROW_SHARE) / common.sum()
        self._topics_up_to = np.cumsum(np.append(common, np.full(NARROW_TOPICS, NARROW_SHARE / NARROW_TOPICS)))
        radius = np.float32(np.sqrt(1 - BETWEEN_TOPICS))
        topics = rng.standard_normal((TOPICS, latent), np.float32) * np.float32(np.sqrt(BETWEEN_TOPICS))
        within = topics[rng.choice(TOPICS, NARROW_TOPICS, p=common / common.sum())]
        narrow = within + radius * rng.standard_normal((NARROW_TOPICS, latent), np.float32)
        self._topics = np.concatenate([topics, narrow])
        self._radii = np.repeat([radius, radius * np.float32(NARROW_RADIUS)], [TOPICS, NARROW_TOPICS])[:, None]

    def rows(self, part: int) -> Vectors:
        """Return rows part * 1024 to part * 1024 + 1023 of the set, shape (1024, dimension)."""
        rows = self._draw(stream(self._seed, MEMBERS, part), CHUNK)
        if self._near_duplicates:
            self._duplicate(rows, stream(self._seed, NEAR_DUPLICATES, part))
        return rows

    def queries(self, kind: QueryKind, count: int, among: int) -> Vectors:
        """Return queries for the set of the first `among` rows, shape (count, dimension), of length 1.

        Args:
            kind: `held-out` are rows that are not in the set, of the same kind; `jittered` are rows of the set with
                noise, at a cosine of 0.98, which flatters an index; `out-of-distribution` have another mean, more
                noise and so much farther neighbours, as texts that are searched for among pictures.
            count: how many.
            among: rows of the set, at least one.
        """
        match kind:
            case "held-out":
                return self._draw(stream(self._seed, HELD_OUT), count)
            case "jittered":
                return self._jittered(stream(self._seed, JITTERED), count, among)
            case "out-of-distribution":
                return self._foreign(stream(self._seed, FOREIGN), count)

    def unseen(self, rng: np.random.Generator, count: int, among: int) -> Vectors:  # noqa: ARG002
        """Return new rows of the kind that the first `among` rows are, whatever their number: (count, dimension)."""
        return self._draw(rng, count)

    def _draw(self, rng: np.random.Generator, count: int) -> Vectors:
        """Draw new rows, shape (count, dimension)."""
        rows = self._places_mapped(rng, count)
        rows *= np.float32(np.sqrt(1 - NOISE))
        rows += _noise(rng, rows.shape, NOISE)
        return _directions(rows)

    def _places_mapped(self, rng: np.random.Generator, count: int) -> Vectors:
        """Draw places in the latent space and return what they map to, shape (count, dimension), of length 1."""
        # The sum of the shares may be a rounding under 1.
        topics = np.searchsorted(self._topics_up_to, rng.random(count)).clip(max=len(self._topics) - 1)
        places = rng.standard_normal((count, len(self._turns)), np.float32)
        places *= self._radii[topics]
        places += self._topics[topics]
        angles = places @ self._turns
        angles += self._phases
        return _directions(np.sin(angles, out=angles))

    def _duplicate(self, rows: Vectors, rng: np.random.Generator) -> None:
        """Replace the share of a chunk's rows that is asked for by near duplicates of others, in place."""
        count = min(int(self._near_duplicates * CHUNK + rng.random()), CHUNK - 1)
        order = rng.permutation(CHUNK)
        originals = rows[order[count:][rng.integers(CHUNK - count, size=count)]]
        rows[order[:count]] = _beside(originals, rng, rng.uniform(*NEAR_DUPLICATE, size=count))

    def _jittered(self, rng: np.random.Generator, count: int, among: int) -> Vectors:
        chunks = -(-among // CHUNK)
        parts = np.unique(np.linspace(0, chunks - 1, min(JITTERED_CHUNKS, chunks, count)).astype(np.int64))
        shares = np.array_split(np.arange(count), len(parts))
        rows = np.empty((count, self._dimension), np.float32)
        for part, share in zip(parts.tolist(), shares, strict=True):
            among_these = min(CHUNK, among - part * CHUNK)
            rows[share] = self.rows(part)[rng.integers(among_these, size=len(share))]
        return _beside(rows, rng, np.full(count, JITTERED_TO))

    def _foreign(self, rng: np.random.Generator, count: int) -> Vectors:
        mean = _directions(rng.standard_normal((1, self._dimension), np.float32))
        rows = self._places_mapped(rng, count) * np.float32(np.sqrt(FOREIGN_KIN))
        rows += np.float32(np.sqrt(FOREIGN_MEAN)) * mean
        rows += _noise(rng, rows.shape, 1 - FOREIGN_MEAN - FOREIGN_KIN)
        return _directions(rows)


def _noise(rng: np.random.Generator, shape: tuple[int, int], share: float) -> Vectors:
    """Return vectors in random directions whose squared lengths are about `share`, shape (n, dimension).

    Of random bytes, which cost a tenth of normal numbers; the sum over hundreds of dimensions does not show it.
    """
    drawn = np.frombuffer(rng.bytes(shape[0] * shape[1]), np.uint8).reshape(shape).astype(np.float32)
    drawn -= np.float32(127.5)
    # The variance of a whole number from 0 to 255.
    drawn *= np.float32(np.sqrt(share / shape[1] / ((256**2 - 1) / 12)))
    return drawn


def _directions(rows: Vectors) -> Vectors:
    """Scale rows (n, dimension) to length 1, in place, and return them."""
    rows /= np.sqrt(np.einsum("ij,ij->i", rows, rows))[:, None]
    return rows


def _beside(rows: Vectors, rng: np.random.Generator, cosines: NDArray[np.float64]) -> Vectors:
    """Return a row in a random direction beside each row (n, dimension), at the cosine given for it, shape (n,)."""
    aside = _noise(rng, rows.shape, 1)
    aside -= np.einsum("ij,ij->i", aside, rows)[:, None] * rows
    along: Vectors = cosines.astype(np.float32)[:, None]
    across: Vectors = np.sqrt(1 - np.square(along))
    near: Vectors = along * rows + across * _directions(aside)
    return _directions(near)
