"""What is strange in measured series: spikes, shifts, drifts, standstill, silence, broken limits.

The way in is `detect.detect`. It lays readings out (`readings_matrix`) and goes from day to day
(`day_loop`): `score_day` says how strange every value is, `classify` names the anomalies, and
`update_state` what the next day needs. `grid_inputs` turns the grid's tables into its arguments,
`evaluation` says how good it was.
"""
