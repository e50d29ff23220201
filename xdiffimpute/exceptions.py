"""The errors a user can meet.

Every message says what was received, what is valid, and what to type next.
All derive from :class:`ImputeError`, itself a :class:`ValueError`.
"""

from __future__ import annotations

__all__ = [
    "ArgumentError",
    "AxesError",
    "CheckpointError",
    "CompatibilityError",
    "CredentialsError",
    "DataError",
    "FetchError",
    "ImputeError",
    "NotFittedError",
    "OutputExistsError",
    "RecipeError",
    "StorageError",
    "TrainingInterrupted",
    "UnknownNameError",
]


class ImputeError(ValueError):
    """Base of every error that xdiffimpute raises on purpose."""


class ArgumentError(ImputeError, TypeError):
    """A method was given an argument that it does not take."""


class AxesError(ImputeError):
    """The horizontal or time axes are missing, ambiguous or malformed."""


class DataError(ImputeError):
    """The values cannot be learned from or filled (all missing, infinite, sentinels, ...)."""


class CompatibilityError(ImputeError):
    """An imputer was applied to other variables, units or another grid than it was fitted on."""


class CheckpointError(ImputeError):
    """A saved imputer or training cannot be written, is damaged, of another version or not ours,
    or is continued with other data or options."""


class NotFittedError(ImputeError):
    """``fill`` or ``score`` was called before there was a fitted imputer."""


class OutputExistsError(ImputeError):
    """An output store exists already and overwriting was not asked for."""


class StorageError(ImputeError):
    """An output cannot be written: the disk is full, or its folder takes no files."""


class FetchError(ImputeError):
    """Data could not be fetched, read or kept; what was fetched before is still there."""


class CredentialsError(FetchError):
    """A key is missing or refused, or a licence has not been accepted."""


class RecipeError(ImputeError):
    """A recipe file cannot be read, or says something that is not valid."""


class TrainingInterrupted(ImputeError):
    """A training was asked to stop by SIGTERM; its checkpoint is written."""


class UnknownNameError(ImputeError):
    """A mask, backbone, sampler, baseline or dataset was asked for by a name nobody has."""
