"""Which version answers whom.

`labels` and `canary` are the rules, `label_journal` and `decisions` what was recorded.
"""
