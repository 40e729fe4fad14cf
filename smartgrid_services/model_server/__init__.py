"""TensorFlow Serving's REST and gRPC contract, on a machine that has no TensorFlow Serving.

`python -m smartgrid_services.model_server --help` says how it is started; `launch.py` starts it
from another process. Only `servables/servable.py`, `servables/warmup.py` and the room `rpc` import
TensorFlow and its messages, when serving begins.
"""
