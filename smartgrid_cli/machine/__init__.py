"""The processes of one machine: `supervisor` keeps those alive that `processes` describes."""
