"""Our own form: the body of `POST /sweeps` as it is."""

from service.sweep_files.body_parts import take_over_part
from service.sweep_files.draft import Draft
from service.sweep_files.launches import check_program

KEYS = (
    "name",
    "direction",
    "objectives",
    "space",
    "sampler",
    "pruner",
    "seed",
    "budget",
    "parallelism",
    "lease_seconds",
    "retry",
    "user_attrs",
    "if_exists",
    "launch",
)


def read_native(draft: Draft) -> None:
    """Takes over what the file says; only its keys and how to launch are checked here."""
    content = draft.source.content
    draft.refuse_unknown((), content, KEYS)
    for key in KEYS:
        if key in content:
            take_over_part(draft, key)
    launch = content.get("launch")
    if not isinstance(launch, dict):
        draft.refuse(("launch",), "A sweep needs `launch`, such as `launch: {program: train.py}`.")
    else:
        check_program(draft, launch, ("launch",))
