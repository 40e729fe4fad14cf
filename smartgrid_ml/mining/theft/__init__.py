"""Whose meter tells less than was used.

`inspect_grid` ranks what `day_model` and `energy_balance` give away.
"""
