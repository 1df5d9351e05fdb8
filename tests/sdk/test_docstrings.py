"""The examples in the docstrings of the public names run, each on a study of its own."""

import doctest
import inspect
from collections.abc import Iterator

import asktell
import pytest

from tests.sdk.servers import ServerProcess

_ARE_EXPECTED = {
    "Client",
    "Study.add_trial",
    "Study.ask",
    "Study.best_trial",
    "Study.optimize",
    "Study.tell_many",
    "Study.to_optuna",
    "Trial",
    "TrialPruned",
}


def find_examples() -> Iterator[doctest.DocTest]:
    finder = doctest.DocTestFinder(exclude_empty=True)
    for name in asktell.__all__:
        value = getattr(asktell, name)
        if inspect.isclass(value):
            # What is inherited from a private class belongs to the public one.
            for cls in value.__mro__:
                if cls.__module__.startswith("asktell."):
                    yield from finder.find(cls, name, module=False, globs={})
        elif inspect.isfunction(value):
            yield from finder.find(value, name, module=False, globs={})


# Of two with one name the first one is what a reader sees.
EXAMPLES = {test.name: test for test in reversed(list(find_examples())) if test.examples}


def test_what_needs_an_example_has_one() -> None:
    assert EXAMPLES.keys() >= _ARE_EXPECTED
    skipped = [
        name
        for name, test in EXAMPLES.items()
        if any(example.options.get(doctest.SKIP) for example in test.examples)
    ]
    assert skipped == []


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_the_example_runs(
    name: str,
    server: ServerProcess,
    client: asktell.Client,
    study: asktell.Study,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for key in ("ASKTELL_URL", "ASKTELL_DATA_DIR"):
        monkeypatch.setenv(key, server.environ[key])
    said: list[str] = []
    test = EXAMPLES[name]
    test.globs = {"asktell": asktell, "client": client, "study": study}

    results = doctest.DocTestRunner().run(test, out=said.append)

    assert results.failed == 0, "".join(said)
