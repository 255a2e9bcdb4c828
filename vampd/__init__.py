"""vampd: carries each VAMPIRES night from raw cubes to verified copies."""

__version__ = "0.1.0"
