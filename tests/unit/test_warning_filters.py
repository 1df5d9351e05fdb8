"""One kind of warning is ignored, all others are not."""

import warnings

import pytest

from service.domain.warning_filters import ignore_warning


def test_only_the_named_warning_is_ignored() -> None:
    ignore_warning("old .* gone", FutureWarning)
    warnings.warn("Old bread is gone", FutureWarning, stacklevel=1)
    with pytest.raises(FutureWarning):
        warnings.warn("new bread", FutureWarning, stacklevel=1)
    with pytest.raises(UserWarning):
        warnings.warn("old bread is gone", UserWarning, stacklevel=1)


def test_ignoring_again_adds_nothing() -> None:
    ignore_warning("old .* gone", FutureWarning)
    before = list(warnings.filters)
    ignore_warning("old .* gone", FutureWarning)
    assert list(warnings.filters) == before
