"""The error tree. Each leaf knows the exit code of the command that it ends.

TrackerError                 1  anything that failed for a known reason
├── UsageError               2  bad usage or bad input: file, option, setting, model
│   ├── ConfigError          2  an unknown or impossible setting
│   ├── SourceError          2  a source that cannot be opened or decoded
│   ├── OutputError          2  an output that exists or cannot be created
│   └── ModelError           2  a model that cannot be loaded, or with outputs that nothing here understands
├── WriteError               1  an output failed while being written: full disk, device gone
├── SourceLost               3  a live source stayed away longer than `--give-up-s`
├── RequirementError         4  a demanded runtime or device is not there
├── PartlyDone               5  some of several inputs failed; each was told, the others are done
└── Interrupted            130  Ctrl-C or SIGTERM; what was written is whole

`engines` has a tree of its own (`engines.base.EngineError`); `detect` translates it into ModelError and
RequirementError, so that nothing behind the detector knows it.
"""

from __future__ import annotations


class TrackerError(Exception):
    """Base of all errors raised on purpose. The message is one line: what was wanted, what came, what to do."""

    exit_code = 1


class UsageError(TrackerError):
    """Bad usage or bad input."""

    exit_code = 2


class ConfigError(UsageError):
    """An unknown or impossible setting."""


class SourceError(UsageError):
    """A source that cannot be opened or decoded."""


class OutputError(UsageError):
    """An output that exists already or cannot be created."""


class ModelError(UsageError):
    """A model that cannot be loaded or understood."""


class WriteError(TrackerError):
    """An output failed while being written."""


class SourceLost(TrackerError):
    """A live source stayed away for longer than it may."""

    exit_code = 3


class RequirementError(TrackerError):
    """A demanded runtime, device or optional library is not there."""

    exit_code = 4


class PartlyDone(TrackerError):
    """Some of several inputs failed."""

    exit_code = 5


class Interrupted(TrackerError):
    """The user or the system asked to stop."""

    exit_code = 130
