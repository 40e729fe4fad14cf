"""Whether the present has left what a model learned from.

`drift` measures it, `report` draws it.
"""
