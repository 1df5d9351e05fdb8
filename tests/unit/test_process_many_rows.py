"""A process that has left more rows than can be told at once."""

from pathlib import Path

from service.domain.attempts import EndingKind
from service.schedulers.executors.base import MOST_ROWS, Launch, Watch
from service.schedulers.executors.process import folders
from service.schedulers.executors.process.collecting import Row
from service.schedulers.executors.process.looking import look
from service.schedulers.executors.process.metric_files import FIRST, MetricWriter

ROWS = 2 * MOST_ROWS + 500


def test_end_is_seen_with_each_part(tmp_path: Path):
    folder = str(tmp_path)
    MetricWriter(folder).write([Row(step, {"loss": 1.0}) for step in range(ROWS)])
    folders.mark(folder, folders.LOCK)
    end = {"kind": str(EndingKind.EXITED), "exit_code": 0, "signal": None, "message": None}
    folders.write_record(folder, folders.EXIT, {**end, "values": {"loss": 1.0}})

    looks, near = [], FIRST
    for cursor in range(0, ROWS, MOST_ROWS):
        sighting, near = look(folder, Watch(Launch("k3v9x2ab-0-1"), cursor), near)
        looks.append(sighting)

    assert [len(each.rows) for each in looks] == [MOST_ROWS + 1, MOST_ROWS + 1, 500]
    assert [each.rows[0].step for each in looks] == [0, MOST_ROWS, 2 * MOST_ROWS]
    assert all(each.ending == looks[0].ending is not None for each in looks)
