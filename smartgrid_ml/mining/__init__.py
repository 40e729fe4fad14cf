"""Finds what nobody asked for: kinds of customers, rules of events, anomalies, theft."""
