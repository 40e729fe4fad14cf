"""One loaded version: its signatures, what is asked of it, batching, warm-up; `loading.py` is the way in."""
