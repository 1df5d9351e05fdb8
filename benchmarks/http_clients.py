"""Raw HTTP/1.1 clients in one process, so that the figures are the service's, not a library's.

    python -m benchmarks.http_clients URL STUDY CLIENTS START END        (token in BENCH_TOKEN)

Each client keeps one connection and repeats the cycle; what begins after the first fifth and
ends before END (Unix times) counts. Prints the timings of all as JSON.
"""

import asyncio
import json
import os
import sys
import time
from typing import Any
from urllib.parse import urlsplit

from benchmarks.cycle import STEPS, Timings, objective, value_at


class Connection:
    """A keep-alive connection that posts JSON and reads the JSON answer."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._host = host
        self._token = os.environ["BENCH_TOKEN"]

    async def post(self, path: str, document: dict[str, Any]) -> Any:
        body = json.dumps(document).encode()
        self._writer.write(
            (
                f"POST {path} HTTP/1.1\r\nHost: {self._host}\r\n"
                f"Authorization: Bearer {self._token}\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            ).encode()
            + body
        )
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.split("content-length:")[1].split("\r\n")[0])
        answer = await self._reader.readexactly(length)
        if not head.startswith("http/1.1 200"):
            raise RuntimeError(answer.decode())
        return json.loads(answer)


async def run_client(url: str, study: str, start: float, end: float) -> Timings:
    """Repeats the cycle on one connection from `start` to `end`."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    connection = Connection(reader, writer, parts.netloc)
    await asyncio.sleep(max(0.0, start - time.time()))
    counted_from = start + (end - start) / 5
    total = Timings()
    while time.time() < end:
        counts = time.time() >= counted_from
        timings = await _run_cycle(connection, f"/studies/{study}")
        if counts and time.time() < end:
            total.add(timings)
    writer.close()
    return total


async def _run_cycle(connection: Connection, study: str) -> Timings:
    timings = Timings(cycles=1)
    began = time.perf_counter()
    asked = await connection.post(f"{study}/ask", {})
    timings.ask.append(time.perf_counter() - began)
    number, params = asked["trials"][0]["number"], asked["trials"][0]["params"]
    for step in range(STEPS):
        began = time.perf_counter()
        point = {"step": step, "value": value_at(params, step)}
        await connection.post(f"{study}/trials/{number}/report", point)
        timings.report.append(time.perf_counter() - began)
    began = time.perf_counter()
    told = {"state": "COMPLETE", "values": objective(params)}
    await connection.post(f"{study}/trials/{number}/tell", told)
    timings.tell.append(time.perf_counter() - began)
    return timings


async def main(url: str, study: str, clients: int, start: float, end: float) -> None:
    total = Timings()
    for timings in await asyncio.gather(
        *(run_client(url, study, start, end) for _ in range(clients))
    ):
        total.add(timings)
    json.dump(total.to_json(), sys.stdout)


if __name__ == "__main__":
    _url, _study, _clients, _start, _end = sys.argv[1:]
    asyncio.run(main(_url, _study, int(_clients), float(_start), float(_end)))
