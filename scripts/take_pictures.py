"""Takes the pictures of the pages in docs/images: `python -m scripts.take_pictures`, with Chromium.

It starts a server with a worker in a temporary folder, and fills it with studies and a sweep.
"""

import math
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asktell

from tests.acceptance.browser import Browser, open_browser, poll

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images"

_SIZE = {"width": 1280, "height": 860, "deviceScaleFactor": 1, "mobile": False}
_SETTINGS = {
    "ASKTELL_PORT": "0",
    "ASKTELL_WORKER": "2",
    "ASKTELL_WORKER_NAME": "gpu-1",
    "ASKTELL_WORKER_EXECUTORS": "process",
    "ASKTELL_WORKER_PYTHON": sys.executable,
    "ASKTELL_LOG_LEVEL": "error",
}
# The pages ask every two seconds; charts may be drawn a moment later.
_SETTLE_SECONDS = 6.0
_LIVELY = 8
_SPACE = {
    "lr": {"type": "float", "low": 1e-5, "high": 0.1, "log": True},
    "depth": {"type": "int", "low": 2, "high": 12},
    "dropout": {"type": "float", "low": 0.0, "high": 0.6},
    "optimizer": {"type": "categorical", "choices": ["adam", "sgd", "lion"]},
}


def main() -> None:
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="asktell-pictures-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        with _serve(folder / "data") as client, open_browser(folder / "profile") as browser:
            _fill(client)
            sweep = _start_sweep(client)
            poll(lambda: len(sweep.study.trials) >= _LIVELY, what="trials", within_seconds=300)
            browser.open(_make_login_link(folder / "data"))
            _take(browser, client.url, "overview")
            _take(browser, f"{client.url}/ui/study?name=resnet-cifar", "study")


@contextmanager
def _serve(data_dir: Path) -> Iterator[asktell.Client]:
    inherited = {name: value for name, value in os.environ.items() if "ASKTELL" not in name}
    environ = {**inherited, **_SETTINGS, "ASKTELL_DATA_DIR": str(data_dir)}
    server = subprocess.Popen(
        [sys.executable, "-m", "service.cli.main", "serve"], env=environ, stdout=subprocess.DEVNULL
    )
    try:
        address = data_dir / "address"
        poll(address.exists, what="the server's address", within_seconds=120)
        url, token = address.read_text().strip(), (data_dir / "token").read_text().strip()
        with asktell.Client(url, token) as client:
            yield client
    finally:
        server.terminate()
        server.wait()


def _make_login_link(data_dir: Path) -> str:
    command = [sys.executable, "-m", "service.cli.main", "login-link", "--data-dir", str(data_dir)]
    made = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603
    return made.stdout.split()[-1]


def _fill(client: asktell.Client) -> None:
    """Studies in all states that people know."""
    pruner = {"type": "PercentilePruner", "args": {"percentile": 75.0, "n_startup_trials": 8}}
    main = client.create_study(
        "resnet-cifar",
        direction="maximize",
        space=_SPACE,
        pruner=pruner,
        seed=4,
        budget={"max_trials": 160},
        parallelism=4,
    )
    main.optimize(_train, n_trials=96, catch=(RuntimeError,))
    for _ in range(3):
        main.ask(lease_seconds=3600).report(0.35, 0)
    paused = client.create_study("bert-finetune", direction="minimize", space=_SPACE, seed=1)
    paused.optimize(lambda trial: 2 - _train(trial), n_trials=24, catch=(RuntimeError,))
    paused.pause()
    both = client.create_study(
        "accuracy-vs-size", directions=["maximize", "minimize"], space=_SPACE, seed=2
    )
    both.optimize(lambda trial: (_judge(trial.params), trial.params["depth"] * 1.3), n_trials=40)
    over = client.create_study("baseline", direction="maximize", space=_SPACE, seed=3)
    over.optimize(lambda trial: _judge(trial.params), n_trials=30)
    over.finish()


def _train(trial: asktell.Trial) -> float:
    """Learning curves as of a network; now and then one that breaks."""
    noise = random.Random(trial.number)  # noqa: S311 (of a picture)
    if noise.random() < 0.04:
        raise RuntimeError("CUDA out of memory: tried to allocate 2.50 GiB")
    best, accuracy = _judge(trial.params), 0.0
    slowness = noise.uniform(2.0, 6.0)
    for epoch in range(20):
        accuracy = best * (1 - math.exp(-(epoch + 1) / slowness)) + noise.gauss(0, 0.012)
        trial.report(accuracy, epoch)
        if trial.should_prune():
            raise asktell.TrialPruned
    return accuracy


def _judge(params: dict[str, object]) -> float:
    lr, depth, dropout = (float(str(params[name])) for name in ("lr", "depth", "dropout"))
    penalty = 0.05 * (math.log10(lr) + 2.7) ** 2 + 0.004 * (depth - 8) ** 2
    bonus = {"adam": 0.03, "sgd": 0.0, "lion": 0.02}[str(params["optimizer"])]
    return 0.93 - penalty - 0.3 * (dropout - 0.2) ** 2 + bonus


def _start_sweep(client: asktell.Client) -> asktell.Sweep:
    folder = ROOT / "examples" / "digits"
    text = (folder / "sweep.yaml").read_text()
    return client.create_sweep_file(text, name="digits", directory=str(folder))


def _take(browser: Browser, url: str, name: str) -> None:
    browser.command("Emulation.setDeviceMetricsOverride", **_SIZE)
    browser.command("Emulation.setScrollbarsHidden", hidden=True)
    for scheme, suffix in (("light", ""), ("dark", "-dark")):
        media = [{"name": "prefers-color-scheme", "value": scheme}]
        browser.command("Emulation.setEmulatedMedia", features=media)
        browser.open(url)
        time.sleep(_SETTLE_SECONDS)
        browser.wait_for("return !document.body.innerText.includes('Computing …')")
        browser.save_screenshot(IMAGES / f"{name}{suffix}.png")


if __name__ == "__main__":
    main()
