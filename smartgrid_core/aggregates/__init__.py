"""Sums and means of readings: `hourly` by sensor, `daily` by meter, `feeder` by feeder and grid."""
