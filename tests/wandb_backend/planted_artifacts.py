"""Artifacts that tests plant: nothing here uploads them."""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class PlantedArtifact:
    """The first version of an artifact.

    Attributes:
        kind: What W&B calls its type, such as "job".
        files: Their contents, by their paths in the artifact.
        references: Addresses of what is elsewhere, by their paths in the artifact.
    """

    entity: str
    project: str
    name: str
    alias: str
    kind: str
    files: Mapping[str, bytes]
    references: Mapping[str, str] = field(default_factory=dict)

    @property
    def path(self) -> str:
        return f"{self.entity}/{self.project}/{self.name}:{self.alias}"

    @property
    def size(self) -> int:
        return sum(map(len, self.files.values()))

    @property
    def digest(self) -> str:
        return digest(b"".join(self.files.values()))


def digest(content: bytes) -> str:
    """As manifests have it."""
    return base64.b64encode(hashlib.md5(content).digest()).decode()
