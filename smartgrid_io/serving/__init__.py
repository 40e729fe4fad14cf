"""How SavedModels reach the model server and how it is asked: publisher and client."""
