"""The exceptions that seqtool raises on purpose, each with the exit code of the command that it ends."""


class SeqtoolError(Exception):
    """Something failed while running; the message is one sentence that says what would mend it."""

    exit_code = 1


class BusyError(SeqtoolError):
    """Another process is writing the same result."""


class UsageError(SeqtoolError):
    """The command contradicts itself or asks for something that does not exist."""

    exit_code = 2


class InputError(SeqtoolError):
    """A file or stream is missing, unreadable, corrupt, of the wrong kind, or belongs to something else."""

    exit_code = 3


class DivergedError(SeqtoolError):
    """The loss or the gradient of a training is not a finite number."""

    exit_code = 4


class StoppedError(SeqtoolError):
    """A signal stopped the program, after everything that can be continued was saved."""

    def __init__(self, signal_number: int, message: str = "") -> None:
        super().__init__(message)
        self.exit_code = 128 + signal_number


OUT_OF_MEMORY = ("out of memory", "not enough memory", "can't allocate memory")
"""What torch's errors say, of the GPU's memory and of the machine's."""


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that the machine or its GPU has no more memory."""
    return isinstance(error, MemoryError) or any(words in str(error) for words in OUT_OF_MEMORY)
