"""Meters that count less than was used.

`inspect_grid` scores all meters by `day_model` and `energy_balance`; `inspection_list` ranks them.
"""
