"""The SQL that is asked of PostgreSQL with pgvector: tables, index, and the statements that each connection prepares.

Everything is in a schema of its own, so that nothing else in the database is touched.
"""

from __future__ import annotations

from compbench.model.scenario import SimilarityMetric

# Operator and operator class of each metric (README of pgvector 0.8.5, "Querying" and "HNSW"). The one for the inner
# product gives its negative.
_OPERATORS: dict[SimilarityMetric, tuple[str, str]] = {
    "cosine": ("<=>", "vector_cosine_ops"),
    "dot": ("<#>", "vector_ip_ops"),
    "euclidean": ("<->", "vector_l2_ops"),
}
PATH = "set search_path = compbench, public"
HAS_ROWS = "select to_regclass('compbench.vectors') is not null"
COUNT = "select count(*) from compbench.vectors"
COUNT_EDGES = "select count(*) from compbench.edges"
DIMENSION = "select atttypmod from pg_attribute where attrelid = 'compbench.vectors'::regclass and attname = 'v'"
VERSIONS = (
    "select 'PostgreSQL ' || current_setting('server_version') || coalesce((select ' + pgvector '"
    " || coalesce(installed_version, default_version) from pg_available_extensions where name = 'vector'), '')"
)
REMOVE = "drop schema if exists compbench cascade"
# Names of prepared statements.
SEARCH, WITHIN, WIDEN, STORE, WALK, LEAST = "search", "within", "widen", "store", "walk", "least"


def make_tables(dimension: int) -> str:
    """Return what makes the tables where they are not there yet.

    "The planner doesn't consider out-of-line storage in cost estimates", and a vector of over 2 kB is stored out of
    line unless its storage is plain (README of pgvector 0.8.5, "Frequently Asked Questions"). The key of the edges is
    the index that they are followed by, and holds all of them.
    """
    return (
        "create schema if not exists compbench;"
        f"{PATH};"
        "create extension if not exists vector schema compbench;"
        f"create table if not exists vectors (id bigint primary key, v vector({dimension}) not null);"
        "alter table vectors alter v set storage plain;"
        "create table if not exists edges (src bigint, dst bigint, primary key (src, dst))"
    )


def make_index(metric: SimilarityMetric, m: int, ef_construction: int) -> str:
    """Return what builds the index, unless it is there."""
    with_ = f"m = {m}, ef_construction = {ef_construction}"
    name, operators = index_name(metric, m, ef_construction), _OPERATORS[metric][1]
    return f"create index if not exists {name} on vectors using hnsw (v {operators}) with ({with_})"


def index_name(metric: SimilarityMetric, m: int, ef_construction: int) -> str:
    """Return the name of the index, which says what it is."""
    return f"vectors_{metric}_m{m}_ef{ef_construction}"


def prepare_all(metric: SimilarityMetric) -> str:
    """Return what prepares the statements of a connection.

    A least similarity stands outside of the search for the nearest ones: "for queries that filter by distance, use a
    materialized CTE and place the distance filter outside of it" (README of pgvector 0.8.5, "Iterative Index Scans"). A
    scan that goes on where too little was found (`hnsw.iterative_scan`) would only find what is further away than that,
    so it stays off, as it comes.
    """
    near = f"v {_OPERATORS[metric][0]} $1"
    return ";".join(
        (
            f"prepare {SEARCH} (vector, integer) as select id from vectors order by {near} limit $2",
            f"prepare {WITHIN} (vector, integer, double precision) as with nearest as materialized"
            f" (select id, {near} as distance from vectors order by distance limit $2)"
            " select id from nearest where distance <= $3 order by distance",
            f"prepare {WIDEN} (text) as select set_config('hnsw.ef_search', $1, true)",
            f"prepare {STORE} (bigint, vector) as insert into vectors values ($1, $2)",
            f"prepare {WALK} (bigint, integer, integer) as with recursive walk (id, depth) as"
            " (select $1, 0 union"
            " select edges.dst, walk.depth + 1 from walk join edges on edges.src = walk.id where walk.depth < $2)"
            " select id from walk where id <> $1 group by id order by min(depth), id limit $3",
            f"prepare {LEAST} as select 1",
        )
    )


def explain(vector: str, limit: int, threshold: float | None) -> str:
    """Return what asks for the plan of a search as a connection has it when it has searched several times.

    The first five runs of a prepared statement are planned anew each; then PostgreSQL may keep one plan for all
    (PostgreSQL 18, "PREPARE"), which could be another one.
    """
    last = "" if threshold is None else f", {threshold}"
    call = f"execute {SEARCH if threshold is None else WITHIN} ('{vector}', {limit}{last})"
    return ";".join([call] * 6 + [f"explain (costs off) {call}"])


def other_indexes(name: str) -> str:
    """Return what names the indexes of vectors besides that one and the key."""
    own = f"indrelid = 'compbench.vectors'::regclass and not indisprimary and relname <> '{name}'"
    return f"select string_agg(relname, ', ') from pg_index join pg_class on oid = indexrelid where {own}"
