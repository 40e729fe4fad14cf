"""The smartgrid command."""
