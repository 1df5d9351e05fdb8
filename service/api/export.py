"""`/studies/{study}/export`: a whole study, as JSON or as a table."""

import asyncio
from collections.abc import Iterable, Iterator
from enum import StrEnum
from io import TextIOWrapper
from tempfile import SpooledTemporaryFile
from typing import IO, Annotated
from urllib.parse import quote

from fastapi import APIRouter, Query, Response
from fastapi.responses import StreamingResponse
from pydantic import Field

from service.api.answers import (
    Answer,
    StudyDetailAnswer,
    TrialAnswer,
    render_json,
    to_study_detail,
    to_trial,
)
from service.api.dependencies import EngineDependency, StudyName, refuse_impossible_name
from service.api.openapi import describe_answer, describe_problems
from service.api.strict import StrictRoute
from service.api.trial_table import TABLE_FIELDS, TrialTable
from service.domain.errors import StudyNotFound
from service.domain.trials import TrialView
from service.storage.exports import Export, open_export

router = APIRouter(prefix="/studies/{study}", tags=["studies"], route_class=StrictRoute)

_IN_MEMORY_BYTES = 1_000_000
_CHUNK_BYTES = 64 * 1024


class ExportFormat(StrEnum):
    """What a study is exported as."""

    CSV = "csv"
    JSON = "json"


_MEDIA_TYPES = {ExportFormat.CSV: "text/csv; charset=utf-8", ExportFormat.JSON: "application/json"}


class ExportAnswer(Answer):
    """A study with all of its trials, as of one moment."""

    study: StudyDetailAnswer
    trials: list[TrialAnswer] = Field(description="By number")


@router.get(
    "/export",
    responses={
        200: {
            **describe_answer(ExportAnswer, "The whole study"),
            "content": {"text/csv": {"schema": {"type": "string"}}},
        },
        **describe_problems(404),
    },
)
async def export_study(
    name: StudyName,
    engine: EngineDependency,
    format_: Annotated[ExportFormat, Query(alias="format")] = ExportFormat.JSON,
) -> Response:
    """Download a study: as JSON with everything, or its trials as CSV for spreadsheets and pandas.

    CSV has the columns of Optuna's `trials_dataframe`; a text that a spreadsheet would take for a
    formula has an apostrophe in front.
    """
    refuse_impossible_name(name)
    # A client may read slowly or stop half-way, so it reads a file: nothing in the database waits
    # for it, and what it gets with 200 is complete.
    file = SpooledTemporaryFile(_IN_MEMORY_BYTES)  # noqa: SIM115  closed after the last chunk
    try:
        async with open_export(engine.reads, name) as export:
            if export is None:
                raise StudyNotFound(f"There is no study {name[:80]!r} to export.")
            await _WRITERS[format_](export, file)
        return _build_download(file, f"{name}.{format_}", _MEDIA_TYPES[format_])
    except BaseException:
        file.close()
        raise


async def _write_csv(export: Export, file: IO[bytes]) -> None:
    text = TextIOWrapper(file, encoding="utf-8", errors="replace", newline="")
    table = TrialTable(text, export.study.summary.objectives, await export.list_columns())
    async for page in export.list_pages(fields=TABLE_FIELDS):
        await asyncio.to_thread(table.write, page)
    # Whoever closes the text would close the file.
    text.detach()


async def _write_json(export: Export, file: IO[bytes]) -> None:
    file.write(b'{"study":' + render_json(to_study_detail(export.study)) + b',"trials":[')
    separator = b""
    async for page in export.list_pages():
        file.write(separator)
        await asyncio.to_thread(_write_trials, page, file)
        separator = b","
    file.write(b"]}")


_WRITERS = {ExportFormat.CSV: _write_csv, ExportFormat.JSON: _write_json}


def _write_trials(trials: Iterable[TrialView], file: IO[bytes]) -> None:
    file.write(b",".join(render_json(to_trial(trial)) for trial in trials))


def _build_download(file: IO[bytes], file_name: str, media_type: str) -> Response:
    headers = {
        "Content-Length": str(file.tell()),
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(file_name, safe='')}",
    }
    file.seek(0)
    return StreamingResponse(_read_chunks(file), headers=headers, media_type=media_type)


def _read_chunks(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk
