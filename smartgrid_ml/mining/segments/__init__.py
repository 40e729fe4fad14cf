"""Kinds of consumers.

`find` groups profiles, `outliers` names those that are like no other, `identity` keeps names from
run to run.
"""
