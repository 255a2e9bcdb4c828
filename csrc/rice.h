/* Rice coding of 16-bit pixels: FITS standard 4.0, section 10.4.1 (RICE_1, BYTEPIX 2, BLOCKSIZE 32).
 *
 * Pixels are bytes in the order of a FITS file, most significant first, whatever machine this is.
 * Nothing is read or written outside of the buffers that are given.
 */
#ifndef VAMPD_RICE_H
#define VAMPD_RICE_H

#include <stddef.h>
#include <stdint.h>

/* The encoder stores whole words: so many bytes behind the longest tile must be there. */
#define RICE_SPARE_BYTES 8

/* The most bytes that a tile of so many pixels can take. */
size_t rice_longest(size_t pixels);

/* Encode a tile; its length in bytes. 0: there are no pixels, or the room (bytes) is less than
 * rice_longest and the spare bytes. */
size_t rice_encode(const uint8_t *pixels, size_t count, uint8_t *coded, size_t room);

/* Decode a tile of count pixels; 0, or -1: it ends too early, or holds more than that. */
int rice_decode(const uint8_t *coded, size_t size, uint8_t *pixels, size_t count);

/* Decode a tile, and compare it with count pixels: 1 if they are the same. */
int rice_matches(const uint8_t *coded, size_t size, const uint8_t *pixels, size_t count);

#endif
