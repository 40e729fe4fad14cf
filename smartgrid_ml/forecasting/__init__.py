"""Load forecasters, all behind one small protocol."""
