"""How a daemon goes about its nights: with all their stages, or as a shadow of another pipeline."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from msgspec import Struct

from vampd.settings.sections import Root
from vampd.states import STAGES_OF, Kind, Stage


class RunMode(Struct, frozen=True, kw_only=True):
    """What the rounds and the dispatcher are told of it."""

    stages: Mapping[Kind, tuple[Stage, ...]]  #: those of which tasks are made
    renew: Callable[[Root], str | None] | None = None
    """Done before each look at a root; it returns why the root must be left alone, if so."""

    @property
    def is_shadow(self) -> bool:
        """Whether nights end, held, when these stages are done: nothing is sent or safe."""
        return self.stages is not STAGES_OF


#: The daemon itself.
NORMAL = RunMode(stages=STAGES_OF)
