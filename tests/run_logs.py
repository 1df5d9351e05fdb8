"""Writes the log of a run as wandb does, for programs that only seem to be runs."""

import json
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path

from wandb.proto import wandb_internal_pb2 as pb

_HEADER = struct.pack("<4sHB", b":W&B", 0xBEE1, 0)
_WHOLE = 1
_BLOCK_BYTES = 32 * 1024


class RunLogWriter:
    """Appends records to the log of a run, which may be in use already.

    A log is one block at most.

    Args:
        folder: What WANDB_DIR is.
    """

    def __init__(self, folder: Path, run_id: str, *, is_online: bool = False) -> None:
        kind = "run" if is_online else "offline-run"
        self._path = folder / "wandb" / f"{kind}-20260102_030405-{run_id}" / f"run-{run_id}.wandb"

    @property
    def folder(self) -> Path:
        """Of the run, as wandb names it."""
        return self._path.parent

    def begin(self) -> None:
        """Makes the log; idempotent."""
        if not self._path.exists():
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._path.write_bytes(_HEADER)

    def log(self, values: Mapping[str, float], *, step: int) -> None:
        record = pb.Record()
        record.history.step.num = step
        for name, value in {**values, "_step": step}.items():
            record.history.item.add(nested_key=[name], value_json=json.dumps(value))
        self._append(record)

    def mark_preempting(self) -> None:
        record = pb.Record()
        record.preempting.SetInParent()
        self._append(record)

    def end(self, exit_code: int) -> None:
        record = pb.Record()
        record.exit.exit_code = exit_code
        record.exit.SetInParent()
        self._append(record)

    def _append(self, record: pb.Record) -> None:
        self.begin()
        data = record.SerializeToString()
        crc = zlib.crc32(data, zlib.crc32(bytes((_WHOLE,))))
        with self._path.open("ab") as stream:
            assert stream.tell() + len(data) < _BLOCK_BYTES
            stream.write(struct.pack("<IHB", crc, len(data), _WHOLE) + data)
