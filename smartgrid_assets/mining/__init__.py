"""What the grid's data tell an operator: segments, rules, anomalies, suspicions, insights."""
