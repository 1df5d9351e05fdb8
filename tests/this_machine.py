"""What tests ask of the machine they run on."""

import socket

from service.schedulers.executors.process.processes import list_processes


def find_free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def is_alive(pid: int) -> bool:
    return any(process.pid == pid and process.state != "Z" for process in list_processes())
