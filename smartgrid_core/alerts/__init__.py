"""What needs a person: rules that decide, and never send."""
