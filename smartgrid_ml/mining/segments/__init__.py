"""Kinds of consumers.

`find` groups profiles, `outliers` names those of no kind, `identity` keeps names from run to run.
"""
