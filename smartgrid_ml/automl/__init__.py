"""Searches that find models by themselves: same rows, same folds, same budget, same board."""
