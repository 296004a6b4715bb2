"""One collection of the stand-in for Qdrant: its points, and an index that is made a while after they came."""

from __future__ import annotations

import os
import time
from typing import Any

import numpy as np

# So long after the index was allowed it is there.
LAG_S = 0.3


class RefusedError(Exception):
    """A request that is answered by an error."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status, self.text = status, text


class Collection:
    """The points of one collection, in the order of their ids."""

    def __init__(self, name: str, made: dict[str, Any], told: dict[str, str]) -> None:
        self.name, self.told = name, told
        self.config = {
            "params": {"vectors": made["vectors"]},
            "hnsw_config": {"m": 16, "ef_construct": 100, "full_scan_threshold": 10_000, **made.get("hnsw_config", {})},
            "optimizer_config": {"indexing_threshold": 10_000, **made.get("optimizers_config", {})},
        }
        self.dimension = int(made["vectors"]["size"])
        self.points: dict[int, np.ndarray[tuple[int], np.dtype[np.float32]]] = {}
        self.indexed, self.indexed_at = 0, 0.0
        self.matrix: Any = None
        self.searches = 0

    def result(self, method: str, rest: list[str], query: str, body: dict[str, Any]) -> Any:
        """Return what a request for this collection asks for.

        Raises:
            RefusedError: it can't be had.
        """
        match method, rest:
            case "PATCH", []:
                self.config["optimizer_config"].update(body["optimizers_config"])
                self.wake()
                return True
            case "PUT", ["points"]:
                return self.upsert(body, query)
        return self.read(method, rest, body)

    def read(self, method: str, rest: list[str], body: dict[str, Any]) -> Any:
        """Return what a request that changes nothing asks for.

        Raises:
            RefusedError: it can't be had.
        """
        match method, rest:
            case "GET", []:
                return self.info()
            case "POST", ["points"]:
                found = [(id_, self.points[id_]) for id_ in body["ids"] if id_ in self.points]
                return [{"id": id_, "vector": vector.tolist()} for id_, vector in found]
            case "POST", ["points", "count"]:
                return {"count": self.told_count()}
            case "POST", ["points", "scroll"]:
                ids = [id_ for id_ in sorted(self.points) if id_ >= body.get("offset", 0)]
                return {"points": [{"id": id_} for id_ in ids[: body["limit"]]]}
            case "POST", ["points", "query"]:
                return {"points": self.search(body)}
        raise RefusedError(404, "")

    def told_count(self) -> int:
        """Return the count, right or wrong."""
        return len(self.points) // (2 if "miscount" in self.told else 1)

    def info(self) -> dict[str, Any]:
        """Return its state: yellow until the index is there."""
        wait = time.monotonic() < self.indexed_at or "never_green" in self.told
        indexed = 0 if wait else self.indexed
        return {
            "status": "yellow" if wait else "green",
            "optimizer_status": "ok",
            "indexed_vectors_count": indexed // 2 if "index_stalls" in self.told else indexed,
            "points_count": self.told_count(),
            "segments_count": 2,
            "config": self.config,
        }

    def wake(self) -> None:
        """Begin to index, if the points are enough for that."""
        threshold = self.config["optimizer_config"]["indexing_threshold"]
        kilobytes = len(self.points) * self.dimension * 4 / 1024
        if threshold and kilobytes >= threshold and self.indexed < len(self.points):
            self.indexed, self.indexed_at = len(self.points), time.monotonic() + LAG_S

    def upsert(self, body: dict[str, Any], query: str) -> dict[str, Any]:
        """Store points, each with an id that is a number of 64 bits."""
        if "refuse_inserts" in self.told:
            raise RefusedError(500, "Service internal error: No space left on device")
        if "batch" in body:
            pairs = list(zip(body["batch"]["ids"], body["batch"]["vectors"], strict=True))
        else:
            pairs = [(point["id"], point["vector"]) for point in body["points"]]
        for id_, vector in pairs:
            if not isinstance(id_, int) or not 0 <= id_ < 2**64:
                raise RefusedError(400, f"Format error in JSON body: value {id_} is not a valid point ID")
            if len(vector) != self.dimension:
                expected = f"expected dim: {self.dimension}, got {len(vector)}"
                raise RefusedError(400, f"Wrong input: Vector dimension error: {expected}")
            row = np.array(vector, np.float32)
            is_cosine = self.config["params"]["vectors"]["distance"] == "Cosine"
            self.points[id_] = row / np.linalg.norm(row) if is_cosine else row
        self.matrix = None
        self.wake()
        if len(self.points) >= int(self.told.get("die_after", 2**62)):
            os._exit(134)
        return {"operation_id": 1, "status": "completed" if "wait=true" in query else "acknowledged"}

    def search(self, body: dict[str, Any]) -> list[dict[str, Any]]:
        """Return the nearest points with their scores."""
        self.searches += 1
        if self.matrix is None:
            self.matrix = np.array(list(self.points), np.int64), np.array(list(self.points.values()), np.float32)
        ids, rows = self.matrix
        query = np.array(body["query"], np.float32)
        distance = self.config["params"]["vectors"]["distance"]
        if distance == "Euclid":
            scores = -np.linalg.norm(rows - query, axis=1)
        else:
            scores = rows @ (query / np.linalg.norm(query) if distance == "Cosine" else query)
        best = np.argsort(-scores)[: body["limit"]]
        least = body.get("score_threshold", -np.inf)
        moved = 2**50 if "other_points" in self.told else 0
        found = [(int(ids[n]) + moved, float(scores[n])) for n in best if scores[n] >= least]
        return [{"id": id_, "version": 1, "score": abs(score)} for id_, score in found]

    def telemetry(self) -> dict[str, Any]:
        """Return its counters of searches, as those of the real one's segments."""
        kind = "unfiltered_plain" if "scans" in self.told or not self.indexed else "unfiltered_hnsw"
        searches = [{kind: {"count": self.searches}}]
        return {"id": self.name, "shards": [{"local": {"segments": [{"vector_index_searches": searches}]}}]}
