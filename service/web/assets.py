"""Scripts and styles of our pages, addressed by their content."""

from hashlib import blake2b
from os import PathLike, stat_result
from pathlib import Path

from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

_ASSETS_FOLDER = Path(__file__).parent / "static"
_ONE_YEAR_SECONDS = 31_536_000


def digest_assets() -> str:
    """Changes whenever any asset does.

    It is part of the assets' path, not of a query: modules import each other by relative path,
    so a page never mixes the scripts of two versions.
    """
    digest = blake2b(digest_size=8)
    for path in sorted(_ASSETS_FOLDER.rglob("*.*")):
        name = path.relative_to(_ASSETS_FOLDER).as_posix()
        digest.update(name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


class Assets(StaticFiles):
    """The assets, which browsers may keep for good because their address names their content."""

    def __init__(self) -> None:
        super().__init__(directory=_ASSETS_FOLDER)

    def file_response(
        self,
        full_path: str | PathLike[str],
        stat_result: stat_result,
        scope: Scope,
        status_code: int = 200,
    ) -> Response:
        response = super().file_response(full_path, stat_result, scope, status_code)
        response.headers["Cache-Control"] = f"private, max-age={_ONE_YEAR_SECONDS}, immutable"
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response
