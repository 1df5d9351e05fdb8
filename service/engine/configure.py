"""Configure: change what may be changed about a study while it runs."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from service.domain.studies import StopReason
from service.engine.actor import Actor
from service.engine.refusals import confirms_refusals
from service.engine.settings import check_settings, patch_settings

# A person's word and an exhausted sampler outlast any change of the budget.
_NOT_OF_THE_BUDGET = (StopReason.STOPPED, StopReason.CANCELLED, StopReason.EXHAUSTED, None)


@confirms_refusals
async def configure(actor: Actor, patch: Mapping[str, Any], user_attrs: Mapping[str, Any]) -> None:
    """Changes settings and attributes, committed; a study whose budget now has room goes on.

    Args:
        patch: A JSON merge patch (RFC 7396) over the settings: what is left out stays.
        user_attrs: To set; others stay.

    Raises:
        InvalidSettings: What comes out makes no sense; nothing is changed.
    """
    async with actor.drawing:
        settings = patch_settings(actor.control.settings, patch)
        check_settings(
            settings, n_objectives=len(actor.spec.objectives), is_sweep=actor.sweep is not None
        )
        reason = actor.control.stop_reason
        kept = reason if reason in _NOT_OF_THE_BUDGET else None
        draft = actor.begin()
        draft.control = replace(actor.control, settings=settings, stop_reason=kept)
        for key, value in user_attrs.items():
            draft.mirror.set_study_user_attr(actor.study_id, key, value)
        committed = actor.accept(draft)
    await committed
