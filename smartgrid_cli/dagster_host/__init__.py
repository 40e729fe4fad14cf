"""What Dagster loads of ours on this machine: daemon, run launcher, storage.

The way in is `daemon.py`; `run_launcher.py` and `pooled_storage.py` are named by `dagster.yaml`.
"""
