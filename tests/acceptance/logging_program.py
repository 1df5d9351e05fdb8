"""What the sweeps of the W&B tests launch: an ordinary script that logs, and prints what it logs.

`logging_program.py [PARAMS]`: with a rate of more than 0.7 it goes on until it is stopped. If its
config has a `gate`, it ends once that file is there.
"""

import json
import sys
import time
from pathlib import Path

import wandb

if __name__ == "__main__":
    _given = json.loads(sys.argv[1]) if sys.argv[1:] else {"lr": 9.0}
    _run = wandb.init(project="theirs", id="theirs", config=_given)
    for _epoch in range(3):
        _loss = _run.config.lr + (0.25 if _run.config.opt["name"] == "sgd" else 0.0) / (_epoch + 1)
        _run.log({"loss": _loss})
        print(f"step={_epoch} loss={_loss}", flush=True)
        time.sleep(0.1)
    while _run.config.lr > 0.7 or not Path(_run.config.get("gate", "/")).exists():
        print("It goes on.", flush=True)
        time.sleep(0.2)
    _run.finish()
