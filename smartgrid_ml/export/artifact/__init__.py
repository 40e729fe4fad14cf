"""The SavedModel folder.

`saved_model` writes it, `parity` and `golden` compare it with the trained model.
"""
