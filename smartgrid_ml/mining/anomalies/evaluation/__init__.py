"""How good anomalies are: against planted faults (`ground_truth`) or a file's labels (`metrics`).

`summary` makes one mapping of the figures of a file, `page` one HTML page.
"""
