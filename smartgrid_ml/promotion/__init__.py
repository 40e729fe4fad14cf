"""May a version go live, and does it stay.

`gate` decides, `canary_comparison` looks at what two versions answered.
"""
