"""Raw readings, from text to energy: `validation` judges rows, `vee` makes interval energy."""
