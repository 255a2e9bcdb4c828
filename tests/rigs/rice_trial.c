/* rice_trial SEED TILES: code tiles of all kinds, damage them, and print a sum of all that was made.
 *
 * Every buffer is exactly as large as its content, so that a sanitizer sees each byte too many. The
 * sum is the same on all machines. Exit status 1: a tile did not come back.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rice.h"

static uint64_t state;

static uint32_t any(uint32_t below) /* Marsaglia's xorshift */
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 32) % below;
}

static uint16_t next_pixel(unsigned kind, unsigned bits, uint16_t before)
{
    uint16_t noise = (uint16_t)(any(0x10000) & ((1u << bits) - 1));
    switch (kind) {
    case 0: return noise;
    case 1: return (uint16_t)(before + noise - (1u << bits) / 2);
    case 2: return any(50) == 0 ? 0xFFFF : noise;
    case 3: return any(200) == 0 ? (uint16_t)any(0x10000) : before;
    default: return any(2) ? 0 : 0xFFFF;
    }
}

static uint64_t sum = 14695981039346656037u; /* Fowler, Noll and Vo */

static void add(const uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        sum = (sum ^ bytes[i]) * 1099511628211u;
}

static uint8_t *copied(const uint8_t *bytes, size_t count)
{
    uint8_t *copy = malloc(count ? count : 1);
    memcpy(copy, bytes, count);
    return copy;
}

/* Whatever becomes of it, only the pixels are written. */
static void decode_damaged(const uint8_t *coded, size_t size, size_t count)
{
    size_t left = any(3) ? size : any((uint32_t)size + 1);
    uint8_t *damaged = copied(coded, left), *pixels = calloc(count, 2);
    for (uint32_t flips = any(4); left != 0 && flips != 0; flips--)
        damaged[any((uint32_t)left)] ^= (uint8_t)(1u << any(8));
    if (rice_decode(damaged, left, pixels, count) == 0) {
        add(pixels, 2 * count);
        if (!rice_matches(damaged, left, pixels, count))
            exit(1);
    }
    free(damaged);
    free(pixels);
}

static int goes_through(void)
{
    size_t count = 1 + (any(20) ? any(200) : any(20000));
    unsigned kind = any(5), bits = any(17);
    uint8_t *pixels = malloc(2 * count), *again = malloc(2 * count);
    uint16_t pixel = (uint16_t)any(0x10000);
    for (size_t i = 0; i < count; i++) {
        pixel = next_pixel(kind, bits, pixel);
        pixels[2 * i] = (uint8_t)(pixel >> 8);
        pixels[2 * i + 1] = (uint8_t)pixel;
    }
    size_t room = rice_longest(count) + RICE_SPARE_BYTES;
    uint8_t *whole = malloc(room);
    size_t size = rice_encode(pixels, count, whole, room);
    uint8_t *coded = copied(whole, size);
    int good = size != 0 && size <= rice_longest(count) && rice_encode(pixels, count, whole, room - 1) == 0 &&
               rice_decode(coded, size, again, count) == 0 && memcmp(pixels, again, 2 * count) == 0 &&
               rice_matches(coded, size, pixels, count);
    add(coded, size);
    for (int i = 0; i < 8; i++)
        decode_damaged(coded, size, count);
    again[any((uint32_t)(2 * count))] ^= 1;
    good &= !rice_matches(coded, size, again, count);
    free(pixels);
    free(again);
    free(whole);
    free(coded);
    return good;
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 64;
    state = strtoull(argv[1], NULL, 10) * 2654435761u + 88172645463325252u;
    for (long tiles = strtol(argv[2], NULL, 10); tiles > 0; tiles--)
        if (!goes_through())
            return 1;
    printf("%016" PRIx64 "\n", sum);
    return 0;
}
