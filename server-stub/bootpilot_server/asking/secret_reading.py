"""One secret, read from where its reference says. The server's only door to another program; nothing it prints is ever told."""

import os
import selectors
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import IO

from bootpilot_server.asking.secret_references import SecretReference
from bootpilot_server.deciding.secret_values import SecretValue

MAX_BYTES = 64 << 10
TOO_LARGE = f"it is larger than {MAX_BYTES} bytes"


class _NotHadError(Exception):
    """Why a secret cannot be had, in words that hold nothing of it."""


def read_secret(reference: SecretReference) -> SecretValue:
    """The value without the newline that ends a file or an output, or why there is none. Never raises."""
    try:
        if reference.file is not None:
            raw = _from_file(reference.file)
        elif reference.environment:
            raw = _from_environment(reference.environment)
        else:
            raw = _from_command(reference)
        return SecretValue(_checked(raw))
    except _NotHadError as error:
        return SecretValue(failure=f"secret {reference.name}: {error}")


def _from_file(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise _NotHadError(f"its file cannot be read: {error.strerror}") from error


def _from_environment(name: str) -> bytes:
    value = os.environb.get(os.fsencode(name))
    if value is None:
        raise _NotHadError(f"the server's environment has no {name}")
    return value


def _from_command(reference: SecretReference) -> bytes:
    """What it prints on standard output; what it says on standard error may hold the secret too, so nobody sees it."""
    try:
        process = subprocess.Popen(
            reference.command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as error:
        raise _NotHadError(f"its command cannot be started: {error.strerror}") from error
    with process:
        try:
            output = _read_until(process.stdout, time.monotonic() + reference.timeout_s)
            if len(output) > MAX_BYTES:
                raise _NotHadError(TOO_LARGE)
            status = process.wait(timeout=1)
        except (TimeoutError, subprocess.TimeoutExpired):
            raise _NotHadError(f"its command did not end within {reference.timeout_s} s") from None
        finally:
            # The command and all that it started, whatever still runs.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    if status:
        raise _NotHadError(f"its command ended with {f'signal {-status}' if status < 0 else f'status {status}'}")
    return output


def _read_until(stream: IO[bytes] | None, deadline_s: float) -> bytes:
    """Up to the end or somewhat more than it may be. Raises TimeoutError."""
    output = bytearray()
    if stream is None:
        return b""
    with selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        while len(output) <= MAX_BYTES:
            if not selector.select(max(0.0, deadline_s - time.monotonic())):
                raise TimeoutError
            chunk = os.read(stream.fileno(), 4096)
            if not chunk:
                break
            output += chunk
    return bytes(output)


def _checked(raw: bytes) -> str:
    if len(raw) > MAX_BYTES:
        raise _NotHadError(TOO_LARGE)
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise _NotHadError("it is not UTF-8 text") from None
    text = text.removesuffix("\n").removesuffix("\r")
    if not text:
        raise _NotHadError("it is empty")
    if "\0" in text:
        raise _NotHadError("it holds a NUL byte")
    return text
