import pytest

from service.schedulers.executors.wandb.runs.sweep_names import find_sweep_name


@pytest.mark.parametrize(
    ("mirror_ref", "name"),
    [
        ("acme/mnist/sweep001", "sweep001"),
        ("acme/MNIST/sweep001", "sweep001"),
        ("acme/other/sweep001", None),
        ("other/mnist/sweep001", None),
        ("acme/mnist", None),
        ("", None),
        (None, None),
    ],
)
def test_run_names_a_sweep_only_where_the_run_is(mirror_ref: str | None, name: str | None) -> None:
    assert find_sweep_name(mirror_ref, "acme", "mnist") == name
    assert find_sweep_name(mirror_ref, None, "mnist") is None
