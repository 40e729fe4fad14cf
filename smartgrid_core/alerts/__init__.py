"""What needs a person: `exceedance` finds it, `decide` makes alerts, `messages` words them."""
