"""Nodes of the grid that a whole tree leaves out are removed when it is delivered."""

import polars as pl

from smartgrid_core.errors import LandingError
from smartgrid_io.postgres.copy import Connection, copy_in

MOST_GONE = 0.1
"""Share of the meters below a delivery's substations that one delivery may take away: grids change
by some meters a day, files are cut off anywhere."""

FEW_METERS = 10
"""Meters that may go whatever share they are: of a small grid a tenth is next to none."""

MOST_NAMED = 5
"""Nodes that a refusal names."""


def begin_delivery(connection: Connection) -> None:
    """Make the temporary table of delivered nodes, in the present transaction."""
    connection.execute(
        "CREATE TEMP TABLE delivered_nodes (node_id text, node_kind text, parent_id text)"
        " ON COMMIT DROP"
    )


def note_delivered(connection: Connection, nodes: pl.DataFrame) -> None:
    """Add rows of `GridTopology` to the nodes of the delivery."""
    with connection.cursor() as cursor:
        copy_in(cursor, "delivered_nodes", nodes.select("node_id", "node_kind", "parent_id"))


def end_delivery(connection: Connection, *, is_clean: bool) -> int:
    """Remove the nodes that the delivery leaves out and return how many; its own rows are loaded.

    A delivery is a whole tree if it reaches from substations to meters and every parent in it is
    in it, too; other deliveries only add and change. It bears on the trees of its substations and
    on no other. `is_clean`: no row of it was refused; what a refused row was about is not gone.
    Raises LandingError if more than a few meters would go at once: a file that was cut off is not
    a smaller grid.
    """
    (is_whole,) = connection.execute(_IS_WHOLE).fetchone() or (False,)
    if is_whole and is_clean:
        connection.execute(_LEFT_OUT)
        gone, meters, delivered, examples = connection.execute(_WHAT_GOES).fetchone() or (0,) * 4
        most = min(delivered, max(FEW_METERS, int(MOST_GONE * (meters + delivered))))
        if meters > most:
            raise LandingError(
                f"it leaves out {meters} meters of its substations, at most {most} may go at once: "
                f"such as {', '.join(examples[:MOST_NAMED])}. Send the whole tree, or without its "
                "substation what is to be added; meters that are really gone go in smaller steps"
            )
        connection.execute(
            "DELETE FROM grid_topology g USING left_out WHERE g.node_id = left_out.node_id"
        )
        connection.execute("DROP TABLE left_out")
    else:
        gone = 0
    connection.execute("DROP TABLE delivered_nodes")
    return int(gone)


_IS_WHOLE = """
SELECT EXISTS (SELECT 1 FROM delivered_nodes WHERE node_kind = 'substation')
   AND EXISTS (SELECT 1 FROM delivered_nodes WHERE node_kind = 'meter')
   AND NOT EXISTS (
       SELECT 1 FROM delivered_nodes n
       WHERE n.parent_id IS NOT NULL
         AND NOT EXISTS (SELECT 1 FROM delivered_nodes p WHERE p.node_id = n.parent_id))
"""

_LEFT_OUT = """
CREATE TEMP TABLE left_out ON COMMIT DROP AS
WITH RECURSIVE below AS (
    SELECT node_id, node_kind FROM grid_topology
    WHERE node_id IN (SELECT node_id FROM delivered_nodes WHERE node_kind = 'substation')
    UNION
    SELECT g.node_id, g.node_kind FROM grid_topology g JOIN below b ON g.parent_id = b.node_id
)
SELECT node_id, node_kind FROM below b
WHERE NOT EXISTS (SELECT 1 FROM delivered_nodes d WHERE d.node_id = b.node_id)
"""
"""What hangs below the delivery's substations, now that it is loaded, and is not in it."""

_WHAT_GOES = """
SELECT (SELECT count(*) FROM left_out),
       (SELECT count(*) FROM left_out WHERE node_kind = 'meter'),
       (SELECT count(DISTINCT node_id) FROM delivered_nodes WHERE node_kind = 'meter'),
       (SELECT array_agg(node_id ORDER BY node_id) FROM left_out WHERE node_kind = 'meter')
"""
