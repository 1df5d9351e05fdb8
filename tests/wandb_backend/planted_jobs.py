"""Jobs of W&B Launch, which tests plant: nothing here creates them."""

import base64
import hashlib
import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class PlantedJob:
    """A job artifact with one file, `wandb-job.json`."""

    entity: str
    project: str
    name: str
    alias: str
    document: dict[str, Any]

    @property
    def path(self) -> str:
        return f"{self.entity}/{self.project}/{self.name}:{self.alias}"

    @property
    def content(self) -> bytes:
        """Of its file."""
        return json.dumps(self.document).encode()

    @property
    def digest(self) -> str:
        return base64.b64encode(hashlib.md5(self.content).digest()).decode()
