"""The SavedModel folder.

`saved_model` writes it, `signature` loads and asks it, `parity` and `golden` compare it with the
trained model.
"""
