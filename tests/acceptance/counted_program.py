"""What a sweep of the fault tests launches: notes that it ran, prints values, may never end.

`counted_program.py FILE TRIAL`: an odd trial prints a value that its pruner stops it for, and
then waits to be stopped.
"""

import os
import sys
import time

if __name__ == "__main__":
    _file, _trial = sys.argv[1], int(sys.argv[2])
    _line = f"{os.environ['ASKTELL_ATTEMPT_ID']} {os.getpid()}\n"
    _descriptor = os.open(_file, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(_descriptor, _line.encode())
    os.close(_descriptor)
    print("step=0 value=0.25", flush=True)
    time.sleep(0.3)
    if _trial % 2:
        print("step=1 value=0.75", flush=True)
        time.sleep(600)
    print("step=1 value=0.125", flush=True)
