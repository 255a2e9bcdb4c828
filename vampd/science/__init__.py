"""Pure decisions about frames: arrays in, arrays out; no file, clock or process."""
