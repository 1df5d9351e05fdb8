"""Records the logs in this folder with the wandb package that is installed.

    python tests/unit/data/record_wandb_runs.py

Only what is logged is recorded: nothing of the machine that this runs on, of its packages, its
repository or its user.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

FOLDER = Path(__file__).parent

RUNS = {
    "many_kinds": """
import math, wandb
run = wandb.init(config={"lr": 0.1})
run.define_metric("top", summary="max")
run.define_metric("span", summary="min,max")
run.define_metric("mean", summary="mean")
for i in range(3):
    run.log({
        "loss": (1.0, math.nan, -math.inf)[i],
        "val": {"loss": 3 - i, "per.class": {"cat": i}},
        "val/loss": i / 2,
        "top": (1, 3, 2)[i],
        "span": (5, 4, 6)[i],
        "mean": i,
        "epoch": 10 * i,
        "is_best": True,
        "text": "0.5",
    })
run.log({"other": 1})
run.log({"loss": 7, "epoch": 2.5}, step=10)
run.summary["final"] = 5
run.summary["nested"] = {"score": 0.5}
run.summary["gone"] = 1
del run.summary["gone"]
run.finish()
""",
    "long_and_preempted": """
import sys, wandb
run = wandb.init()
for i in range(12):
    run.log({"loss": 1 / (1 + i), "text": chr(97 + i) * 1500})
run.mark_preempting()
sys.exit(1)
""",
    "killed": """
import os, time, wandb
run = wandb.init()
for i in range(2):
    run.log({"loss": i})
time.sleep(4)
os._exit(7)
""",
}


def main() -> None:
    for name, program in RUNS.items():
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run(
                [sys.executable, "-c", program], env=build_environment(folder, name), check=False
            )
            (log,) = Path(folder).glob("wandb/*run-*/*.wandb")
            shutil.copy(log, FOLDER / f"{name}.wandb")


def build_environment(folder: str, name: str) -> dict[str, str]:
    return {
        "PATH": os.defpath,
        "HOME": folder,
        "WANDB_DIR": folder,
        "WANDB_MODE": "offline",
        "WANDB_RUN_ID": name,
        "WANDB_ENTITY": "acme",
        "WANDB_PROJECT": "digits",
        "WANDB_HOST": "example",
        "WANDB_CONSOLE": "off",
        "WANDB_DISABLE_GIT": "true",
        "WANDB_DISABLE_CODE": "true",
        "WANDB_X_SAVE_REQUIREMENTS": "false",
        "WANDB_X_DISABLE_META": "true",
        "WANDB_X_DISABLE_MACHINE_INFO": "true",
        "WANDB_X_DISABLE_STATS": "true",
        "WANDB_X_TRANSACTION_LOG_FLUSH_INTERVAL": "1",
        "WANDB_ERROR_REPORTING": "false",
    }


if __name__ == "__main__":
    main()
