"""A file system of one's own: Python's folders, read only, and nothing else."""

import ctypes
import os
import sys
import sysconfig

from service.sandbox.inside.system import CLONE_NEWNS, call, syscall, unshare

_MS_RDONLY, _MS_NOSUID, _MS_NODEV = 1, 2, 4
_MS_REMOUNT, _MS_BIND, _MS_REC, _MS_PRIVATE = 32, 4096, 16384, 1 << 18
_KEPT_FLAGS = 0x0F | 1024 | 2048  # of the original: nobody may lift what its owner set
_MNT_DETACH = 2
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
_LIBRARY_FOLDERS = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib")
_LINKER_FILES = ("/etc/ld.so.cache",)


def list_python_folders() -> list[str]:
    """Return what importing modules reads: folders of Python, its packages and of libraries."""
    own = [
        sysconfig.get_path("stdlib"),
        sysconfig.get_path("platstdlib"),
        sysconfig.get_path("purelib"),
        sysconfig.get_path("platlib"),
        sysconfig.get_config_var("LIBDIR"),
    ]
    prefixes = tuple(f"{prefix}{os.sep}" for prefix in (sys.prefix, sys.base_prefix))
    installed = [path for path in sys.path if path.startswith(prefixes)]
    found = [path for path in (*own, *installed, *_LIBRARY_FOLDERS) if path]
    return [*_drop_nested(found), *_LINKER_FILES]


def enter_own_root(paths: list[str]) -> None:
    """Give this process a root that has `paths` and nothing else, all of it read only.

    Raises:
        OSError: The kernel does not allow it; files may be hidden below /tmp then, no more.
    """
    unshare(CLONE_NEWNS)
    _mount(None, "/", None, _MS_REC | _MS_PRIVATE)
    # Opened first: the new root hides what lies where it is built.
    sources = {path: os.open(path, os.O_PATH) for path in paths if os.path.exists(path)}
    previous_umask = os.umask(0o022)
    try:
        _mount("tmpfs", "/tmp", "tmpfs", _MS_NOSUID | _MS_NODEV)  # noqa: S108 (any folder does)
        for path, opened in sources.items():
            _bind(opened, f"/tmp{path}")  # noqa: S108
        os.chdir("/tmp")  # noqa: S108
        _remount_read_only(".")
        # Puts the old root over the new one, from where it can be taken away.
        syscall(_PIVOT_ROOT[os.uname().machine], ctypes.c_char_p(b"."), ctypes.c_char_p(b"."))
        call("umount2", ctypes.c_char_p(b"."), ctypes.c_int(_MNT_DETACH))
        os.chdir("/")
    finally:
        os.umask(previous_umask)
        for opened in sources.values():
            os.close(opened)


def _drop_nested(paths: list[str]) -> list[str]:
    kept: list[str] = []
    for path in sorted({os.path.normpath(path) for path in paths}):
        if not any(path.startswith(f"{parent}{os.sep}") for parent in kept):
            kept.append(path)
    return kept


def _bind(opened: int, target: str) -> None:
    source = f"/proc/self/fd/{opened}"
    if os.path.isdir(source):
        os.makedirs(target, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        os.close(os.open(target, os.O_CREAT | os.O_RDONLY, 0o444))
    _mount(source, target, None, _MS_BIND | _MS_REC)
    _remount_read_only(target)


def _remount_read_only(target: str) -> None:
    kept = os.statvfs(target).f_flag & _KEPT_FLAGS
    flags = _MS_REMOUNT | _MS_BIND | _MS_RDONLY | _MS_NOSUID | _MS_NODEV
    _mount(None, target, None, flags | kept)


def _mount(source: str | None, target: str, kind: str | None, flags: int) -> None:
    texts = [None if text is None else text.encode() for text in (source, target, kind)]
    call("mount", *map(ctypes.c_char_p, texts), ctypes.c_ulong(flags), ctypes.c_void_p(None))
