"""What `wandb agent` runs in the tests: an ordinary script with arguments, and none but its own.

`agent_program.py --what=WHAT`: `slow` goes on until it is told to end, `bad` breaks.
"""

import argparse
import signal
import sys
import time

import wandb

if __name__ == "__main__":
    _parser = argparse.ArgumentParser()
    _parser.add_argument("--what", required=True)
    _what = _parser.parse_args().what
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with wandb.init(name=f"a {_what} one") as _run:
        assert _run.config["what"] == _what
        _run.log({"loss": 0.9 if _what == "slow" else 0.5})
        while _what == "slow":
            time.sleep(0.2)
        if _what == "bad":
            raise RuntimeError("It breaks.")
