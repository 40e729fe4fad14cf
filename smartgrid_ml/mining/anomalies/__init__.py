"""What is strange in measured series.

`detect.detect` for a matrix of readings, `day_loop` for one day after another.
"""
