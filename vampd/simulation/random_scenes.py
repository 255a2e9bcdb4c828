"""Random scenes: everything that a night may hold, within what can be synchronised.

Offset and noise stay well below the pairing tolerance, and the tolerance below half
the shortest interval; else nobody could tell which frames belong together.
"""

from __future__ import annotations

import numpy as np
from msgspec.structs import replace

from vampd.simulation.night import DEFAULT_DATE, DEFAULT_START, SimulatedNight
from vampd.simulation.random_logger import with_a_failing_logger
from vampd.simulation.scenes import COSTS_ONE_FRAME, HST_NAME_S, Cards, CubeFault, Fault, Scene

#: Time to read one row out in FAST mode; SLOW takes 2.5 times as long.
_ROW_US = 0.868
_SLOW_FACTOR = 2.5
_TYPICAL_LENGTHS = (1, 2, 7, 25, 50, 100, 150, 200, 500)
_LONGEST_CUBE = 2_000
_FEWEST_FOR_BAD_ROW = 5
_LOGGER = 0x7A1  # its failures are drawn apart from the scenes


def random_scenes(
    seed: int,
    *,
    count: int = 8,
    most_triggers: int = 1_500,
    with_faults: bool = False,
    logger_fails: bool = False,
) -> tuple[Scene, ...]:
    """*count* scenes of up to *most_triggers* triggers.

    *with_faults*: some cubes are bad. *logger_fails*: cubes get lost, mixed, doubled or overlap,
    and clocks are on TAI or set back.
    """
    random = np.random.default_rng([seed, count, most_triggers])
    scenes = []
    for number in range(1, count + 1):
        scene = _random_scene(random, f"random-{number}", most_triggers)
        if with_faults and random.random() < 0.5:
            scene = replace(scene, faults=(_random_fault(random, scene),))
        scenes.append(scene)
    if logger_fails:
        scenes = with_a_failing_logger(scenes, np.random.default_rng([seed, count, _LOGGER]))
    return tuple(scenes)


def random_night(
    seed: int,
    *,
    count: int = 8,
    most_triggers: int = 1_500,
    with_faults: bool = False,
    logger_fails: bool = False,
    date: str = DEFAULT_DATE,
    start: str = DEFAULT_START,
) -> SimulatedNight:
    """A night of `random_scenes`."""
    scenes = random_scenes(
        seed,
        count=count,
        most_triggers=most_triggers,
        with_faults=with_faults,
        logger_fails=logger_fails,
    )
    return SimulatedNight(scenes, seed=seed, date=date, start=start)


def _random_scene(random: np.random.Generator, name: str, most_triggers: int) -> Scene:
    scene = _random_timing(random, name, most_triggers)
    late = (int(random.integers(0, scene.triggers)) // 3, 0) if random.random() < 0.4 else (0, 0)
    scene = replace(
        scene,
        cameras=((1, 2), (1, 2), (1, 2), (1, 2), (1,), (2,))[random.integers(6)],
        cube_frames=(_lengths(random), _lengths(random)),
        late_start=late if random.random() < 0.5 else late[::-1],
        dropped=(_few_triggers(random, scene.triggers), _few_triggers(random, scene.triggers)),
        unseen=((), _few_triggers(random, scene.triggers) if random.random() < 0.3 else ()),
        gaps=tuple(
            (trigger, int(random.integers(5_000, 6_000_000)))
            for trigger in _few_triggers(random, scene.triggers)[:2]
        ),
        cards_of_cube=_header_changes(random),
        name_shift_s=float(random.choice((0.0, 0.0, 0.0, 37.0, -3.25, HST_NAME_S))),
        pause_before_s=float(random.uniform(2.0, 90.0)),
    )
    return _with_a_frame_in_each_camera(scene)


def _random_timing(random: np.random.Generator, name: str, most_triggers: int) -> Scene:
    """A scene with everything that bears on its times alone."""
    slow = bool(random.random() < 0.3)
    rows_read = int(random.choice((256, 536, 536, 1_104)))
    tolerance_us = _ROW_US * rows_read * (_SLOW_FACTOR if slow else 1.0)
    flc = bool(random.random() < 0.6)
    jitter_us = int(random.integers(20, 501))
    noise_us = float(random.choice((1.8, 6.0, 6.0, 15.0, 50.0)))
    shortest_us = int(2.2 * tolerance_us + 8 * noise_us + (jitter_us if flc else 0)) + 1
    period_us = int(shortest_us * random.choice((1.0, 1.3, 4.0, 25.0)))
    return Scene(
        name=name,
        triggers=int(random.integers(1, most_triggers + 1)) if random.random() < 0.9 else 1,
        period_us=period_us,
        exptime_s=round(0.97 * period_us / 1e6, 8),
        external_trigger=bool(random.random() < 0.9),
        flc=flc,
        jitter_us=jitter_us,
        first_state=int(random.choice((-1, 1))),
        detector_mode=str(random.choice(("SLOW", "slow") if slow else ("FAST", "Fast"))),
        rows_read=rows_read,
        offset_us=int(random.uniform(-0.4, 0.4) * tolerance_us),
        noise_us=min(noise_us, 0.06 * tolerance_us),
    )


def _lengths(random: np.random.Generator) -> tuple[int, ...]:
    """Lengths of one camera's cubes: mostly alike, sometimes every one another."""
    if random.random() < 0.6:
        return (int(random.choice(_TYPICAL_LENGTHS[2:])),)
    lengths = random.integers(1, _LONGEST_CUBE + 1, size=3).tolist()
    return (*(int(length) for length in lengths), int(random.choice(_TYPICAL_LENGTHS[4:])))


def _few_triggers(random: np.random.Generator, triggers: int) -> tuple[int, ...]:
    """None, or a few triggers, some of them in a row."""
    if triggers < 2 or random.random() < 0.4:
        return ()
    first = random.integers(0, triggers, size=int(random.integers(1, 6)))
    runs = [range(one, min(one + int(random.integers(1, 4)), triggers)) for one in first.tolist()]
    return tuple(sorted({trigger for run in runs for trigger in run}))


def _with_a_frame_in_each_camera(scene: Scene) -> Scene:
    """The same scene, with every frame logged if a camera would have none."""
    for camera in (0, 1):
        lost = {*scene.dropped[camera], *scene.unseen[camera], *range(scene.late_start[camera])}
        if len(lost) >= scene.triggers:
            return replace(scene, dropped=((), ()), unseen=((), ()), late_start=(0, 0))
    return scene


def _header_changes(random: np.random.Generator) -> tuple[Cards, ...]:
    """Cards that change from cube to cube, or none."""
    if random.random() < 0.6:
        return ()
    keyword, values = (
        ("RET-ANG1", (0.0, 45.0, 22.5, 67.5)),
        ("FILTER01", ("Open", "625-50", "675-50", "775-50")),
        ("OBJECT", ("AB Aur", "HD 31233", "AB Aur", "SKY")),
    )[random.integers(3)]
    return tuple({keyword: value} for value in values) if random.random() < 0.8 else ({},)


def _random_fault(random: np.random.Generator, scene: Scene) -> CubeFault:
    """A fault that the scene's first cube can have."""
    camera = int(random.choice(scene.cameras))
    lost = {*scene.dropped[camera - 1], *scene.unseen[camera - 1]}
    logged = scene.triggers - scene.late_start[camera - 1] - len(lost)
    frames = min(logged, scene.length_of(camera, 0))
    possible = [
        fault for fault in Fault if frames >= _FEWEST_FOR_BAD_ROW or fault not in COSTS_ONE_FRAME
    ]
    return CubeFault(fault=possible[int(random.integers(len(possible)))], camera=camera, ordinal=0)
