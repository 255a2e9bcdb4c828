"""A long, seeded hunt for wrong times, wrong pairs and wrong labels.

    python -m tests.campaigns.science NIGHTS [FIRST_SEED]

NIGHTS nights are random within what the cameras can do, and as many more of a logger that fails
are written, read and planned. Prints each night that is not perfect, and a summary: scenes of each
kind, and how many frames were held back and why. Exits with 1 if any time, pair or label was wrong,
or a frame was lost, or held back for nothing.
"""

from __future__ import annotations

import sys
import time
from collections import Counter

import numpy as np
from msgspec.structs import replace

from tests.support.logger_night import Outcome, judged, kind_of, losses
from tests.support.made_night import (
    SCENE_STEP,
    MadeNight,
    Scene,
    Verdict,
    judge,
    make_night,
    tolerance,
)
from vampd.science.cubes import CubeLimits, plan_night
from vampd.science.doubles import Candidate, find_doubles

_LIMITS = CubeLimits()


def random_scenes(random: np.random.Generator, *, taught: bool = False) -> list[Scene]:
    """A night of one static offset for each readout mode.

    A run of fast frames without jitter looks the same when shifted by a trigger, so a
    night has a slow run of each mode that it uses, or its fast runs have both ends.
    """
    rows = int(random.choice([128, 536, 536, 1104]))
    share = {slow: random.uniform(-0.8, 0.8) for slow in (False, True)}
    noise = {slow: random.uniform(0, 1) for slow in (False, True)}
    scenes = [_random_scene(random, rows, share, noise) for _ in range(random.integers(1, 7))]
    if taught or random.random() < 0.8:
        teachers = {scene.slow: _teacher(scene) for scene in scenes}
        return [*scenes[:1], *teachers.values(), *scenes[1:]]
    return [
        replace(scene, lost1=frozenset(), lost2=frozenset(), triggers=max(scene.triggers, 20))
        for scene in scenes
    ]


def _teacher(scene: Scene) -> Scene:
    """A run of the same mode whose frames cannot be confused."""
    return replace(
        scene,
        triggers=40,
        period_us=5.0 * tolerance(scene),
        jitter_us=0.0,
        header_jitter_us=None,
        lost1=frozenset(),
        lost2=frozenset(),
    )


def _random_scene(
    random: np.random.Generator, rows: int, share: dict[bool, float], noise: dict[bool, float]
) -> Scene:
    slow = bool(random.random() < 0.4)
    probe = Scene(triggers=1, slow=slow, rows=rows)
    limit_us = tolerance(probe)
    most_noise = min(0.15 * limit_us, 86.0 if slow else 25.0)
    noise_us = 1.0 + noise[slow] * (most_noise - 1.0)
    offset_us = share[slow] * limit_us
    offset_us = float(
        np.clip(offset_us, 2 * noise_us - 0.8 * limit_us, 0.8 * limit_us - 2 * noise_us)
    )
    jitter_us = float(random.choice([0.0, 20.0, 30.0, 100.0, 300.0, 500.0]))
    shortest_us = limit_us * random.choice([1.03, 1.1, 1.3, 2.0, 4.0]) + 2 * noise_us
    period_us = float(min(shortest_us + jitter_us * random.choice([1.0, 1.0, 2.0]), 60_000))
    period_us = max(period_us, 2 * jitter_us)
    gaussian = bool(random.random() < 0.4)
    triggers = int(random.choice([1, 2, 3, 5, 8, 20, 60, 300, 1500]))
    return Scene(
        triggers=triggers,
        period_us=period_us,
        jitter_us=jitter_us,
        header_jitter_us=int(jitter_us) if random.random() < 0.8 and jitter_us else None,
        offset_us=offset_us,
        noise_us=noise_us / 2 if gaussian else noise_us,
        gaussian=gaussian,
        slow=slow,
        rows=rows,
        lost1=_lost(random, triggers),
        lost2=_lost(random, triggers),
        lengths1=tuple(random.integers(1, 400, size=3).tolist()),
        lengths2=tuple(random.integers(1, 400, size=3).tolist()),
        pause_s=float(random.choice([3.5, 40.0])),
        first_state=int(random.choice([-1, 1])),
    )


def _lost(random: np.random.Generator, triggers: int) -> frozenset[int]:
    """Random losses, a late start, an early end, a hole."""
    share = random.choice([0.0, 0.0, 0.01, 0.05])
    lost = set(np.flatnonzero(random.random(triggers) < share).tolist())
    if random.random() < 0.3:
        lost |= set(range(int(random.integers(0, min(triggers, 40) + 1))))
    if random.random() < 0.2:
        lost |= set(range(triggers - int(random.integers(0, min(triggers, 40) + 1)), triggers))
    if random.random() < 0.1:
        hole = int(random.integers(0, triggers))
        lost |= set(range(hole, min(hole + int(random.integers(1, 60)), triggers)))
    return frozenset(lost)


def _with_glitches(night: MadeNight, random: np.random.Generator) -> MadeNight:
    """Some single times are off; where that leaves them out of order, they are rejected."""
    cubes = []
    glitched = set()
    for cube in night.cubes:
        times_us = cube.acquired_us.copy()
        rejected = {}
        for frame in np.flatnonzero(random.random(len(times_us)) < 0.003).tolist():
            glitched.add((cube.raw_file, frame))
            times_us[frame] += int(random.choice([-1, 1]) * 10 ** random.uniform(1.5, 3.7))
            before = times_us[frame - 1] if frame else 0
            after = times_us[frame + 1] if frame + 1 < len(times_us) else times_us[frame] + 1
            if not before < times_us[frame] < after:
                times_us[frame] = before + 1 if frame else times_us[frame]
                rejected[frame] = "out of order"
        times_us[list(rejected)] = 0
        cubes.append(replace(cube, acquired_us=times_us, rejected=rejected))
    order = random.permutation(len(cubes)).tolist()
    return replace(
        night, cubes=tuple(cubes[index] for index in order), glitched=frozenset(glitched)
    )


def planned(seed: int) -> tuple[list[Scene], MadeNight, Verdict]:
    random = np.random.default_rng(seed)
    glitches = seed % 3 == 2
    scenes = random_scenes(random, taught=glitches)
    set_back_before = 0
    if seed % 6 == 5 and len(scenes) > 1:
        set_back_before = int(random.integers(1, len(scenes)))
    if set_back_before:
        # Where both cameras lost the ends of the scenes, nothing shows that the clock was set back.
        for number in (set_back_before - 1, set_back_before):
            scenes[number] = replace(scenes[number], lost1=frozenset(), lost2=frozenset())
    night = make_night(scenes, seed)
    if set_back_before:
        night = _set_back(night, set_back_before, random)
    if glitches:
        night = _with_glitches(night, random)
    candidates = [
        Candidate(cube=cube, sha256=str(cube.raw_file), modified_ns=0) for cube in night.cubes
    ]
    cubes = find_doubles(candidates, {}).cubes
    return scenes, night, judge(night, plan_night(cubes, _LIMITS))


def _set_back(night: MadeNight, first: int, random: np.random.Generator) -> MadeNight:
    """The clock of both cameras is set back before scene *first*, into the one before."""
    shorter_us = min(scene.triggers * scene.period_us for scene in night.scenes[first - 1 :][:2])
    pause_us = 1e6 * night.scenes[first - 1].pause_s
    back_us = round(pause_us + random.uniform(0, min(300_000, shorter_us / 2)))
    cubes = tuple(
        replace(cube, acquired_us=cube.acquired_us - back_us)
        if night.trigger_of[cube.raw_file][0] >= first * SCENE_STEP
        else cube
        for cube in night.cubes
    )
    return replace(night, cubes=cubes)


def _made_nights(seeds: range) -> Counter[str]:
    """The tally of made nights; what is not perfect is printed."""
    total: Counter[str] = Counter()
    for seed in seeds:
        scenes, _, verdict = planned(seed)
        total["frames"] += verdict.frames
        total["wrong pairs"] += verdict.wrong_pairs
        total["missed pairs"] += verdict.missed_pairs
        total["wrong labels"] += verdict.wrong_labels
        total["dubious"] += verdict.dubious
        total["left over"] += verdict.left_over
        total["unexplained"] += verdict.unexplained
        if verdict.wrong_pairs + verdict.wrong_labels + verdict.missed_pairs + verdict.unexplained:
            print(f"seed {seed}: {verdict}")
            for scene in scenes:
                print(
                    f"    {scene.triggers} triggers, T {scene.period_us:.0f}, "
                    f"J {scene.jitter_us:.0f}, offset {scene.offset_us:.0f}, "
                    f"noise {scene.noise_us:.1f}, tolerance {tolerance(scene)}, "
                    f"lost {len(scene.lost1)}, {len(scene.lost2)}"
                )
    return total


def _logger_nights(seeds: range) -> Outcome:
    """The tally of nights of a failing logger; what is wrong is printed at once."""
    total = Outcome()
    scenes: Counter[str] = Counter()
    cubes_lost: Counter[str] = Counter()
    for seed in seeds:
        night, outcome, read, truth = judged(seed)
        total += outcome
        scenes.update(kind_of(laid.scene) for laid in night.laid)
        for _, lost, told in losses(read, truth):
            cubes_lost += Counter(there=lost, told=told, too_many=max(told - lost, 0))
        for what, where in outcome.wrong().items():
            print(f"logger night {seed}: {what} {dict(where)}")
    print(f"scenes: {dict(scenes.most_common())}")
    print(f"held back, frames: {dict(total.held.most_common())}")
    print(f"exposures delivered twice, frames: {dict(total.twice)}")
    print(f"cubes lost by the logger: {dict(cubes_lost)}")
    wrong = {what: found.total() for what, found in total.counters().items()}
    print(f"wrong: {wrong}")
    return total


def main(nights: int, first_seed: int) -> int:
    seeds = range(first_seed, first_seed + nights)
    began = time.perf_counter()
    made = _made_nights(seeds)
    seconds = time.perf_counter() - began
    print(f"{nights} made nights in {seconds:.0f} s: {dict(made)}")
    failing = _logger_nights(seeds)
    seconds = time.perf_counter() - began - seconds
    print(f"{nights} nights of a failing logger in {seconds:.0f} s: {failing.frames} frames")
    return 1 if made["wrong pairs"] or made["wrong labels"] or failing.wrong() else 0


if __name__ == "__main__":
    arguments = [int(argument) for argument in sys.argv[1:]]
    sys.exit(main(*(arguments + [100, 0][len(arguments) :])))
