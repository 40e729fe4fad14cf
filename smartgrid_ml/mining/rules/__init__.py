"""What goes with what on a feeder.

`mine` turns `itemsets` into rules that `significance` tests; `changes` compares two windows.
"""
