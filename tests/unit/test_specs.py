"""A study's spec survives its trip through the database's JSON."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.studies import Component, Direction, Objective, StudySpec
from service.storage.specs import spec_from_document, spec_to_document

JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
DOCUMENTS = st.dictionaries(st.text(), JSON_VALUES, max_size=3)
COMPONENTS = st.builds(Component, type=st.text(), args=DOCUMENTS)
SPECS = st.builds(
    StudySpec,
    name=st.text(),
    objectives=st.lists(
        st.builds(Objective, name=st.text(), direction=st.sampled_from(Direction)),
        min_size=1,
        max_size=3,
    ).map(tuple),
    space=st.none() | DOCUMENTS,
    sampler=COMPONENTS,
    pruner=st.none() | COMPONENTS,
    seed=st.integers(0, 2**32 - 1),
    user_attrs=DOCUMENTS,
)


@given(SPECS)
def test_spec_survives_json(spec: StudySpec) -> None:
    text = json.dumps(spec_to_document(spec), allow_nan=False)

    assert spec_from_document(json.loads(text)) == spec


@given(SPECS)
def test_document_keeps_the_order_of_the_space(spec: StudySpec) -> None:
    restored = spec_from_document(json.loads(json.dumps(spec_to_document(spec))))

    assert list(restored.space or ()) == list(spec.space or ())


def test_unknown_direction_is_refused() -> None:
    spec = StudySpec("s", (Objective("loss", Direction.MINIMIZE),), None, Component("X"), None, 0)
    document = spec_to_document(spec)
    document["objectives"][0]["direction"] = "sideways"

    with pytest.raises(ValueError, match="sideways"):
        spec_from_document(document)
