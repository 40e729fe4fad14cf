"""Whether a version may go live, and whether it stays.

`gate.decide_promotion` judges a challenger, `canary_comparison.judge_trial` a version on trial.
"""
