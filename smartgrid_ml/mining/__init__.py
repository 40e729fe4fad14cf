"""Finds what nobody asked for: kinds of customers, rules of events, anomalies, theft.

`anomalies`, `theft`, `segments` and `rules` do not know each other; `insights` selects from all.
"""
