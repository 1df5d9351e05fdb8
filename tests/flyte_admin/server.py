"""One life of the gRPC server: from the opening of its port to its closing."""

from concurrent.futures import ThreadPoolExecutor

import grpc

from tests.flyte_admin.gate import Gate

_THREADS = 64
_OPTIONS = [("grpc.max_receive_message_length", 20 << 20), ("grpc.so_reuseport", 0)]


class Server:
    def __init__(self, gate: Gate, port: int) -> None:
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="flyte-admin")
        self._server = grpc.server(self._threads, handlers=[gate], options=_OPTIONS)
        self._server.add_insecure_port(f"127.0.0.1:{port}")
        self._server.start()

    def stop(self) -> None:
        """Returns when the port is closed; calls that are being answered are dropped."""
        self._server.stop(None).wait()
        self._threads.shutdown()
