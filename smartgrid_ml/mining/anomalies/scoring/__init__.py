"""How strange a day is: `score_day.score_day` is the way in.

It holds every value against a range (`expected_range`) and says how rarely a series is as far from
it (`return_period`). The records of the answer stand in `day_scores`.
"""
