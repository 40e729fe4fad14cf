"""Errors that name the cause and the remedy. Everything of ours derives from SmartGridError."""


class SmartGridError(Exception):
    """A failure that a person can act on; its text tells how."""


class ContractError(SmartGridError):
    """A table breaks its contract; the text names the table and the first bad column."""


class LandingError(SmartGridError):
    """A file cannot be landed at all; the text names the file, the cause and the remedy."""


class ModelUnavailableError(SmartGridError):
    """No model version answers; the text names the model and the server."""


class PublicationError(SmartGridError):
    """A model version was not made live; the text names the step that refused."""


class ConfigurationError(SmartGridError):
    """A setting is missing or cannot be used; the text names it and an example."""


class ServerError(SmartGridError):
    """A server that we run does not start or answer; the text holds the end of its log."""
