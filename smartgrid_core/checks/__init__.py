"""Judgements on what was computed, one per asset that people act on; each asset check shows one.

`outcome.py` is what every judgement returns; the other files stand by subject.
"""
