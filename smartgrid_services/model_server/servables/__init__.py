"""One loaded version: signatures, inference, batching, warm-up; the way in is `loading.py`."""
