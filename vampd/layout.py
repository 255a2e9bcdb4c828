"""Every name in a night's folder that is not a camera's own: nothing else spells them."""

from __future__ import annotations

CAMERA_FOLDERS = ("vcam1", "vcam2")  #: in which raw cubes arrive
OUTPUT_FOLDER = "vgen2"
OWN_FOLDER = ".vampd"  #: journal, sidecar, digests; nothing in it counts as a change of the night
QUICK_LOOK_FOLDER = f"{OWN_FOLDER}/quicklook"
SCRATCH_FOLDER = f"{OWN_FOLDER}/scratch"
DAMAGED_FOLDER = f"{OWN_FOLDER}/damaged"  #: own files that went bad here, and were mended
GIVEN_UP_FOLDER = f"{OWN_FOLDER}/given_up"  #: outputs of raw files that an operator gave up
TRASH_FOLDER = ".vampd-trash"  #: in a root, not in a night

RAW_ENDING = ".fits"
OUTPUT_ENDING = ".fits.fz"
TIMING_ENDING = ".txt"

CHECKSUMS = f"{OWN_FOLDER}/SHA256SUMS"
DELIVERY_LIST = f"{OWN_FOLDER}/delivery-"  #: and a digest; see `stages.delivery_list`
NAME_CHANGES = "name_changes.txt"  #: in the folder of outputs

# The earlier pipeline's.
BACKUP_ENDING = "_hlinkbak"  #: of the folder in which it keeps a camera's raw cubes
OUTPUTS_SET_ASIDE = f"{OUTPUT_FOLDER}.incumbent"  #: where `vampd restore` puts its outputs


def of_batch(name: str, batch: int) -> str:
    """*name*, with the batch's number before its ending where it is not the first one."""
    stem, ending = name.rsplit(".", 1)
    return name if batch == 1 else f"{stem}.{batch}.{ending}"


def manifest_name(date: str, batch: int) -> str:
    """`manifest_VMP_20251106.csv`; that of the second batch: `manifest_VMP_20251106.2.csv`."""
    return of_batch(f"manifest_VMP_{date}.csv", batch)


def name_changes_name(batch: int) -> str:
    """`vgen2/name_changes.txt`; that of the second batch: `vgen2/name_changes.2.txt`."""
    return of_batch(f"{OUTPUT_FOLDER}/{NAME_CHANGES}", batch)


#: The sides of quick looks' pictures, at most, in pixels: for a wall of them, and for one alone.
SMALL_PICTURE, LARGE_PICTURE = 256, 1_024


def quick_look_name(output: str, what: str, size_pixels: int) -> str:
    """`.vampd/quicklook/VMPA00425189.mean.256.png`, relative to the night's folder."""
    return f"{QUICK_LOOK_FOLDER}/{output}.{what}.{size_pixels}.png"


def sidecar_path(batch: int) -> str:
    """Where a batch's sidecar lies, relative to the night's folder."""
    return of_batch(f"{OWN_FOLDER}/raw_sidecar.tar", batch)
