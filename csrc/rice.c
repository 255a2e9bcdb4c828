/* A tile is its first pixel, in 16 bits, and then blocks of 32 pixels. A pixel's value is its
 * difference from the pixel before, folded so that small ones of both signs are small numbers.
 * A block begins with four bits: 0, all its values are 0; 15, each follows in 16 bits; else one
 * more than its number of low bits, fs. A value's code is its high bits as so many zeros, a one,
 * and its fs low bits. The encoder chooses fs exactly as CFITSIO does, so the bytes are the same.
 *
 * What the speed rests on: plain loops over whole blocks, which compilers turn into vector code;
 * one load of eight bytes for several codes; and no vector load of what was just stored in
 * smaller or shifted pieces, for which a processor waits.
 */
#include "rice.h"

#include <string.h>

enum {
    BLOCK = 32,
    FS_BITS = 4,
    FS_END = 14, /* with so many low bits coding gains nothing */
    RAW = FS_END + 1,
    WINDOW_BITS = 56 /* there are at least so many after a refill */
};

static inline uint64_t load_word(const uint8_t *p)
{
    return (uint64_t)p[0] << 56 | (uint64_t)p[1] << 48 | (uint64_t)p[2] << 40 |
           (uint64_t)p[3] << 32 | (uint64_t)p[4] << 24 | (uint64_t)p[5] << 16 |
           (uint64_t)p[6] << 8 | (uint64_t)p[7];
}

static inline void store_word(uint8_t *p, uint64_t word)
{
    for (unsigned i = 0; i < 8; i++)
        p[i] = (uint8_t)(word >> (56 - 8 * i));
}

/* From the order of a FITS file to this machine's, and back. */
static inline uint16_t swapped(uint16_t value)
{
    const uint16_t one = 1;
    uint8_t first_byte;
    memcpy(&first_byte, &one, 1);
    return (uint16_t)(first_byte ? value << 8 | value >> 8 : value);
}

static inline unsigned highest_bit(uint64_t word) /* of a word that is not 0 */
{
    return 63 ^ (unsigned)__builtin_clzll(word);
}

/* --- Encoding ----------------------------------------------------------------------------- */

typedef struct {
    uint8_t *next;
    uint64_t word; /* its first `filled` bits are still to be kept */
    unsigned filled; /* under 8 */
} Writer;

static inline void put(Writer *to, uint64_t code, unsigned bits) /* 1 to WINDOW_BITS */
{
    to->word |= code << (64 - to->filled - bits);
    to->filled += bits;
    store_word(to->next, to->word);
    to->next += to->filled / 8;
    to->word <<= to->filled & 56;
    to->filled %= 8;
}

/* Values of 32 pixels; the pixel before them lies before them. */
static inline void fold(const uint8_t *pixels, uint16_t *values)
{
    uint16_t now[BLOCK], before[BLOCK];
    memcpy(now, pixels, sizeof now);
    memcpy(before, pixels - 2, sizeof before);
    for (unsigned i = 0; i < BLOCK; i++) {
        uint16_t difference = (uint16_t)(swapped(now[i]) - swapped(before[i]));
        uint16_t sign = (uint16_t)-(difference >> 15);
        values[i] = (uint16_t)((uint16_t)(difference << 1) ^ sign);
    }
}

/* The same of the tile's first block, whose first value is 0, or of its last, which may be
 * short: then 0s follow. */
static void fold_at_an_end(const uint8_t *tile, size_t start, unsigned count, uint16_t *values)
{
    uint8_t padded[2 + 2 * BLOCK];
    memcpy(padded, tile + (start == 0 ? 0 : 2 * start - 2), 2);
    memcpy(padded + 2, tile + 2 * start, 2 * (size_t)count);
    for (unsigned i = count; i < BLOCK; i++)
        memcpy(padded + 2 + 2 * i, padded + 2 * i, 2);
    fold(padded + 2, values);
}

/* CFITSIO divides in floating point and cuts off, which comes to the same. */
static inline unsigned best_fs(uint32_t sum, unsigned count)
{
    uint32_t less = count / 2 + 1;
    if (sum < less)
        return 0;
    uint32_t half_mean = (count == BLOCK ? (sum - less) / BLOCK : (sum - less) / count) / 2;
    return half_mean == 0 ? 0 : highest_bit(half_mean) + 1;
}

static inline void put_codes(Writer *to, const uint16_t *values, unsigned count, unsigned fs)
{
    uint16_t codes[BLOCK], bits[BLOCK]; /* without leading zeros; with them */
    const uint16_t one = (uint16_t)(1u << fs), mask = (uint16_t)(one - 1);
    int16_t longest = 0; /* signed, for which all processors have a vector maximum */
    for (unsigned i = 0; i < BLOCK; i++) {
        codes[i] = one | (values[i] & mask);
        bits[i] = (uint16_t)((values[i] >> fs) + fs + 1);
        longest = (int16_t)bits[i] > longest ? (int16_t)bits[i] : longest;
    }
    if (count == BLOCK && longest <= WINDOW_BITS / 4) {
        for (unsigned i = 0; i < BLOCK; i += 4) {
            uint64_t two = (uint64_t)codes[i] << bits[i + 1] | codes[i + 1];
            uint64_t more = (uint64_t)codes[i + 2] << bits[i + 3] | codes[i + 3];
            unsigned more_bits = (unsigned)bits[i + 2] + bits[i + 3];
            put(to, two << more_bits | more, bits[i] + bits[i + 1] + more_bits);
        }
        return;
    }
    for (unsigned i = 0; i < count; i++) {
        unsigned rest = bits[i];
        for (; rest > WINDOW_BITS; rest -= WINDOW_BITS / 2)
            put(to, 0, WINDOW_BITS / 2);
        put(to, codes[i], rest);
    }
}

static inline void put_block(Writer *to, const uint16_t *values, unsigned count)
{
    uint32_t sum = 0;
    for (unsigned i = 0; i < BLOCK; i++)
        sum += values[i];
    unsigned fs = best_fs(sum, count);
    if (sum == 0) {
        put(to, 0, FS_BITS);
    } else if (fs >= FS_END) {
        put(to, RAW, FS_BITS);
        for (unsigned i = 0; i < count; i++)
            put(to, values[i], 16);
    } else {
        put(to, fs + 1, FS_BITS);
        put_codes(to, values, count, fs);
    }
}

/* Coded values take no more than 16 bits each: with the fs above their high bits come to two
 * each, for fs = 13, and to less below. */
size_t rice_longest(size_t pixels)
{
    size_t blocks = pixels / BLOCK + (pixels % BLOCK != 0);
    return 2 + 2 * pixels + blocks / 2 + blocks % 2;
}

size_t rice_encode(const uint8_t *pixels, size_t count, uint8_t *coded, size_t room)
{
    if (count == 0 || room < RICE_SPARE_BYTES || room - RICE_SPARE_BYTES < rice_longest(count))
        return 0;
    memcpy(coded, pixels, 2);
    Writer to = {coded + 2, 0, 0};
    for (size_t start = 0; start < count; start += BLOCK) {
        unsigned in_block = count - start < BLOCK ? (unsigned)(count - start) : BLOCK;
        uint16_t values[BLOCK];
        if (start != 0 && in_block == BLOCK)
            fold(pixels + 2 * start, values);
        else
            fold_at_an_end(pixels, start, in_block, values);
        put_block(&to, values, in_block);
    }
    return (size_t)(to.next - coded) + (to.filled != 0);
}

/* --- Decoding ----------------------------------------------------------------------------- */

/* As if zeros without end followed the tile; who reads them is told by is_over. */
typedef struct {
    const uint8_t *bytes;
    size_t size;
    size_t next; /* the byte behind the window's */
    uint64_t window;
    unsigned left; /* bits of the window */
} Reader;

#define FAR_BEYOND (SIZE_MAX / 2) /* in bits; where the reader of a damaged tile goes */

static inline uint64_t word_at(const uint8_t *bytes, size_t size, size_t byte)
{
    if (byte + 8 <= size)
        return load_word(bytes + byte);
    uint64_t word = 0;
    for (unsigned i = 0; i < 8; i++)
        word = word << 8 | (byte + i < size ? bytes[byte + i] : 0);
    return word;
}

/* The window gets at least WINDOW_BITS. Behind its `left` bits are more, as yet uncounted. */
static inline void refill(Reader *from)
{
    from->window |= word_at(from->bytes, from->size, from->next) >> from->left;
    from->next += (63 - from->left) / 8;
    from->left |= WINDOW_BITS;
}

static inline uint64_t take(Reader *from, unsigned bits) /* 1 to WINDOW_BITS, refilled */
{
    uint64_t taken = from->window >> (64 - bits);
    from->window <<= bits;
    from->left -= bits;
    return taken;
}

static inline size_t position(const Reader *from) /* in bits */
{
    return 8 * from->next - from->left;
}

static inline int is_over(const Reader *from)
{
    return position(from) > 8 * from->size;
}

static inline Reader reader_at(const uint8_t *bytes, size_t size, size_t bit)
{
    Reader from = {bytes, size, bit / 8, 0, 0};
    refill(&from);
    from.window <<= bit % 8;
    from.left -= bit % 8;
    return from;
}

/* Codes as they are found: where the one is in the window, 63 less the zeros before it; and the
 * bits that end with the low ones. */
typedef struct {
    uint16_t ones[BLOCK], lows[BLOCK];
} Codes;

/* Codes of any length, from `first` to before `end`. Returns the position behind them. No
 * reader's address comes here: so the caller's can stay in registers. */
static size_t find_slowly(
    const uint8_t *bytes, size_t size, size_t bit, unsigned fs, Codes *codes, unsigned first,
    unsigned end)
{
    Reader from = reader_at(bytes, size, bit);
    for (unsigned i = first; i < end; i++) {
        size_t zeros = 0;
        refill(&from);
        while (from.window >> (64 - WINDOW_BITS) == 0) {
            zeros += WINDOW_BITS;
            take(&from, WINDOW_BITS);
            if (is_over(&from))
                return FAR_BEYOND;
            refill(&from);
        }
        unsigned more = 63 - highest_bit(from.window);
        take(&from, more + 1);
        refill(&from);
        codes->ones[i] = (uint16_t)(63 - zeros - more);
        codes->lows[i] = fs == 0 ? 0 : (uint16_t)take(&from, fs);
    }
    return position(&from);
}

/* `count` codes, which the window may hold all; the word is turned, and each code's low bits
 * come to its end. */
static inline void find(Reader *from, unsigned fs, Codes *codes, unsigned first, unsigned count)
{
    refill(from);
    uint64_t word = from->window | 1; /* a one to be found in any case */
    unsigned bits = count * (fs + 64);
    for (unsigned i = first; i < first + count; i++) {
        unsigned one = highest_bit(word);
        unsigned turn = (fs - one) & 63;
        word = word << turn | word >> (-turn & 63);
        codes->ones[i] = (uint16_t)one;
        codes->lows[i] = (uint16_t)word;
        bits -= one;
    }
    if (bits <= WINDOW_BITS) {
        from->window <<= bits;
        from->left -= bits;
        return;
    }
    size_t behind = find_slowly(
        from->bytes, from->size, position(from), fs, codes, first, first + count);
    *from = reader_at(from->bytes, from->size, behind);
}

/* So many codes at once as the window mostly holds: with the encoder's fs they take some fs + 2
 * bits each. */
static inline void find_block(Reader *from, unsigned fs, Codes *codes)
{
    if (fs <= 4)
        for (unsigned i = 0; i < BLOCK; i += 8)
            find(from, fs, codes, i, 8);
    else if (fs <= 10)
        for (unsigned i = 0; i < BLOCK; i += 4)
            find(from, fs, codes, i, 4);
    else
        for (unsigned i = 0; i < BLOCK; i += 2)
            find(from, fs, codes, i, 2);
}

static inline uint16_t unfolded(uint16_t value)
{
    return (uint16_t)(value >> 1) ^ (uint16_t)-(value & 1);
}

/* Pixels from their differences; the last one is the next block's before. */
static inline uint16_t add_up(
    const uint16_t *differences, unsigned count, uint16_t before, uint8_t *pixels)
{
    for (unsigned i = 0; i < count; i++) {
        before = (uint16_t)(before + differences[i]);
        uint16_t pixel = swapped(before);
        memcpy(pixels + 2 * i, &pixel, 2);
    }
    return before;
}

static inline void unfold(const Codes *codes, unsigned fs, uint16_t *differences)
{
    const uint16_t mask = (uint16_t)((1u << fs) - 1);
    for (unsigned i = 0; i < BLOCK; i++) {
        uint16_t high = (uint16_t)((uint16_t)(63 - codes->ones[i]) << fs);
        differences[i] = unfolded(high | (codes->lows[i] & mask));
    }
}

/* Differences of a block that is raw, or short. Returns the position behind it. */
static size_t unfold_slowly(
    const uint8_t *bytes, size_t size, size_t bit, unsigned kind, unsigned count,
    uint16_t *differences)
{
    Codes codes = {{0}, {0}};
    if (kind != RAW) {
        bit = find_slowly(bytes, size, bit, kind - 1, &codes, 0, count);
        unfold(&codes, kind - 1, differences);
        return bit;
    }
    Reader from = reader_at(bytes, size, bit);
    for (unsigned i = 0; i < count; i++) {
        refill(&from);
        differences[i] = unfolded((uint16_t)take(&from, 16));
    }
    return position(&from);
}

static inline uint16_t next_block(
    Reader *from, unsigned count, uint16_t before, uint8_t *pixels)
{
    refill(from);
    unsigned kind = (unsigned)take(from, FS_BITS);
    uint16_t differences[BLOCK] = {0};
    if (count == BLOCK && kind - 1 < FS_END) {
        Codes codes;
        find_block(from, kind - 1, &codes);
        unfold(&codes, kind - 1, differences);
        return add_up(differences, BLOCK, before, pixels);
    }
    if (kind != 0) {
        size_t behind = unfold_slowly(
            from->bytes, from->size, position(from), kind, count, differences);
        *from = reader_at(from->bytes, from->size, behind);
    }
    return add_up(differences, count, before, pixels);
}

/* Decode into `pixels`, or compare with `expected`. 1: done, and nothing is left of the tile. */
static inline int go_through(
    const uint8_t *coded, size_t size, size_t count, uint8_t *pixels, const uint8_t *expected)
{
    Reader from = reader_at(coded, size, 16);
    uint16_t before = (uint16_t)(word_at(coded, size, 0) >> 48);
    for (size_t start = 0; start < count; start += BLOCK) {
        unsigned in_block = count - start < BLOCK ? (unsigned)(count - start) : BLOCK;
        uint8_t block[2 * BLOCK];
        uint8_t *to = expected == NULL ? pixels + 2 * start : block;
        before = next_block(&from, in_block, before, to);
        if (is_over(&from))
            return 0;
        if (expected != NULL && memcmp(block, expected + 2 * start, 2 * (size_t)in_block) != 0)
            return 0;
    }
    return 8 * size - position(&from) < 8;
}

int rice_decode(const uint8_t *coded, size_t size, uint8_t *pixels, size_t count)
{
    return go_through(coded, size, count, pixels, NULL) ? 0 : -1;
}

int rice_matches(const uint8_t *coded, size_t size, const uint8_t *pixels, size_t count)
{
    return go_through(coded, size, count, NULL, pixels);
}
