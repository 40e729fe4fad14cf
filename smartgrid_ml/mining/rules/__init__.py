"""What goes with what on the grid.

`mine` turns `itemsets` into tested rules, `changes` compares two windows.
"""
