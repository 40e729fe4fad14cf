"""Names under which runs write down what they have read and judged, and the sensor finds it."""

READ_EVENTS = "exceedance_events"
"""Of a run that decides alerts: by issue day (ISO), the event whose exceedances it read, at least.

It is noted before the rows are read: what is computed meanwhile has a later event, and is noticed.
"""

JUDGED_FROM, JUDGED_TO = "judged_from", "judged_to"
"""Of a check: the first and the last issue day (ISO) that it judged."""
