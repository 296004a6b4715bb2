"""Scenarios made for tests of the driver's work, without files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from compbench.loadtest.workload.vector_sets import open_vectors, shape_of
from compbench.loadtest.workload.workload import Workload
from compbench.model.scenario import Clustered, Constant, Data, Graph, Operations, Scenario, Validation
from compbench.systems.engram.client import Client

ENDPOINT = "http://127.0.0.1:1"
MIXED = Operations(store_weight=1, recall_weight=1, embedding_search_weight=1, pattern_completion_weight=1)
SEARCHES = Operations(store_weight=0, recall_weight=0, embedding_search_weight=1)
TRAVERSALS = Operations(store_weight=0, recall_weight=0.8, embedding_search_weight=0.2)


def scenario(operations: Operations = MIXED, nodes: int = 500, spaces: int = 1, **changes: Any) -> Scenario:
    """Return a scenario over `nodes` clustered vectors."""
    data = Data(
        num_nodes=nodes,
        embedding_dim=768,
        memory_spaces=spaces,
        embedding_distribution=Clustered(num_clusters=4, std_dev=0.3),
    )
    made = Scenario(
        name="made",
        title="Made",
        description="for tests",
        path=Path("made.toml"),
        sha256="",
        seed=7,
        duration_s=1,
        arrival=Constant(rate=100),
        operations=operations,
        data=data,
        validation=Validation(),
    )
    return msgspec.structs.replace(made, **changes)


def graph_scenario(nodes: int = 500) -> Scenario:
    """Return a scenario of traversals."""
    return scenario(TRAVERSALS, nodes, graph=Graph(average_degree=5.0))


def workload(of: Scenario | None = None, count: int = 3000, **how: Any) -> Workload:
    """Return a scenario's work."""
    made = of or scenario()
    client = Client(None, ENDPOINT, shape_of(made, open_vectors(made, made.seed)))
    return Workload(made, made.seed, client, prepared=made.data.num_nodes, count=count, **how)


def toml(made: Scenario) -> str:
    """Return a scenario file of the same content, for the command line."""
    weights, data = made.operations, made.data
    graph = f"\n[graph]\naverage_degree = {made.graph.average_degree}\n" if made.graph else ""
    return f"""\
name = "{made.title}"
description = "for tests"
seed = {made.seed}
[arrival]
pattern = "constant"
rate = 100
[operations]
store_weight = {weights.store_weight}
recall_weight = {weights.recall_weight}
embedding_search_weight = {weights.embedding_search_weight}
pattern_completion_weight = {weights.pattern_completion_weight}
[data]
num_nodes = {data.num_nodes}
embedding_dim = 768
memory_spaces = {data.memory_spaces}
embedding_distribution = {{ type = "clustered", num_clusters = 4, std_dev = 0.3 }}
{graph}"""
