"""The SavedModel folder.

`saved_model` writes it, `parity` and `golden` hold it against the trained model.
"""
