"""The system calls that a user file may make, with their numbers.

Chosen so that Python, NumPy, SciPy and threads work, and nothing starts a process, opens a socket
or reaches another process. Numbers are those of `asm/unistd_64.h` and `asm-generic/unistd.h`.
"""

import platform
from collections.abc import Mapping
from dataclasses import dataclass

_X86_64, _AARCH64 = 0, 1
_AUDIT_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}

# name:x86_64:aarch64, a dash where an architecture has none.
_NUMBERS = """
read:0:63 write:1:64 readv:19:65 writev:20:66 pread64:17:67 close:3:57 close_range:436:436
fstat:5:80 newfstatat:262:79 stat:4:- lstat:6:- statx:332:291 lseek:8:62 access:21:-
faccessat:269:48 faccessat2:439:439 getdents64:217:61 getcwd:79:17 readlink:89:- readlinkat:267:78
statfs:137:43 fstatfs:138:44 fadvise64:221:223 umask:95:166
mmap:9:222 munmap:11:215 mprotect:10:226 mremap:25:216 madvise:28:233 brk:12:214
rt_sigaction:13:134 rt_sigprocmask:14:135 rt_sigreturn:15:139 rt_sigpending:127:136
sigaltstack:131:132 alarm:37:- getitimer:36:102 setitimer:38:103 restart_syscall:219:128
futex:202:98 set_robust_list:273:99 get_robust_list:274:100 rseq:334:293 set_tid_address:218:96
membarrier:324:283 sched_yield:24:124 sched_getaffinity:204:123 sched_getparam:143:121
sched_getscheduler:145:120 getcpu:309:168
nanosleep:35:101 clock_nanosleep:230:115 clock_gettime:228:113 clock_getres:229:114
gettimeofday:96:169 time:201:- times:100:153 getrusage:98:165 getrlimit:97:163
getpid:39:172 getppid:110:173 gettid:186:178 getuid:102:174 geteuid:107:175 getgid:104:176
getegid:108:177 getgroups:115:158 getresuid:118:148 getresgid:120:150 getpgrp:111:-
getpgid:121:155 getsid:124:156 uname:63:160 sysinfo:99:179 getrandom:318:278
poll:7:- ppoll:271:73 select:23:- pselect6:270:72 epoll_create1:291:20 epoll_ctl:233:21
epoll_wait:232:- epoll_pwait:281:22 eventfd2:290:19 pipe:22:- pipe2:293:59 dup:32:23 dup2:33:-
dup3:292:24 exit:60:93 exit_group:231:94
clone:56:220 openat:257:56 fcntl:72:25 ioctl:16:29 kill:62:129 tgkill:234:131 prlimit64:302:261
"""
# Allowed with some arguments only; see `seccomp`.
_CONDITIONAL = frozenset({"clone", "openat", "fcntl", "ioctl", "kill", "tgkill", "prlimit64"})


@dataclass(frozen=True, slots=True)
class Syscalls:
    """What one architecture calls them.

    Attributes:
        architecture: As the kernel's audit names it.
        free: Numbers that are allowed whatever the arguments.
        conditional: Numbers by name of those that depend on their arguments.
    """

    architecture: int
    free: tuple[int, ...]
    conditional: Mapping[str, int]


def find_syscalls() -> Syscalls | None:
    """Return the table of this machine; None for an architecture that has none here."""
    machine = platform.machine()
    if machine not in _AUDIT_ARCHITECTURES:
        return None
    numbers = _read_numbers(_X86_64 if machine == "x86_64" else _AARCH64)
    return Syscalls(
        _AUDIT_ARCHITECTURES[machine],
        tuple(number for name, number in numbers.items() if name not in _CONDITIONAL),
        {name: number for name, number in numbers.items() if name in _CONDITIONAL},
    )


def _read_numbers(column: int) -> dict[str, int]:
    entries = [entry.split(":") for entry in _NUMBERS.split()]
    return {name: int(found[column]) for name, *found in entries if found[column] != "-"}
