"""Every stage of a night; the order in which they follow each other is that of `Stage`."""

from __future__ import annotations

from vampd.stages import build, frame_ids, manifest, sync, transfer, verify
from vampd.stages.handler import AnyStage
from vampd.states import Stage

STAGES: dict[Stage, AnyStage] = {
    Stage.SYNC: sync.STAGE,
    Stage.FRAME_IDS: frame_ids.STAGE,
    Stage.BUILD: build.STAGE,
    Stage.MANIFEST: manifest.STAGE,
    Stage.TRANSFER: transfer.STAGE,
    Stage.VERIFY: verify.STAGE,
}
