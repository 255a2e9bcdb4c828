/* vampd.io._rice: whole frames through the coder of rice.c, without the interpreter lock. */
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000 /* Python 3.11, and every newer one */
#include <Python.h>

#include <string.h>

#include "rice.h"

#define LENGTH_BYTES ((Py_ssize_t)sizeof(int64_t))

/* The buffers of one call, and what they are made of. */
typedef struct {
    Py_buffer pixels, coded, lengths;
    size_t tiles, tile_pixels;
} Frame;

static void release(Frame *frame)
{
    PyBuffer_Release(&frame->pixels);
    PyBuffer_Release(&frame->coded);
    PyBuffer_Release(&frame->lengths);
}

/* Whether there are whole tiles of so many pixels, and a length for each; else an exception. */
static int is_divided(Frame *frame, Py_ssize_t tile_pixels)
{
    Py_ssize_t pixels = frame->pixels.len / 2;
    if (tile_pixels <= 0 || frame->pixels.len % 2 != 0 || pixels % tile_pixels != 0) {
        PyErr_Format(
            PyExc_ValueError, "%zd bytes are no tiles of %zd 16-bit pixels", frame->pixels.len,
            tile_pixels);
        return 0;
    }
    Py_ssize_t tiles = pixels / tile_pixels;
    if (frame->lengths.len % LENGTH_BYTES != 0 || frame->lengths.len / LENGTH_BYTES != tiles) {
        PyErr_Format(
            PyExc_ValueError, "%zd tiles, with %zd bytes for their lengths", tiles,
            frame->lengths.len);
        return 0;
    }
    frame->tiles = (size_t)tiles;
    frame->tile_pixels = (size_t)tile_pixels;
    return 1;
}

static int64_t length_of(const Frame *frame, size_t tile)
{
    int64_t length; /* a buffer of bytes may begin anywhere */
    memcpy(&length, (const char *)frame->lengths.buf + tile * sizeof length, sizeof length);
    return length;
}

/* The bytes of all tiles together, or -1: there was no room for the tile after them. */
static int64_t encode_all(const Frame *frame)
{
    uint8_t *coded = frame->coded.buf;
    size_t room = (size_t)frame->coded.len, used = 0;
    for (size_t tile = 0; tile < frame->tiles; tile++) {
        const uint8_t *pixels =
            (const uint8_t *)frame->pixels.buf + 2 * tile * frame->tile_pixels;
        int64_t length =
            (int64_t)rice_encode(pixels, frame->tile_pixels, coded + used, room - used);
        if (length == 0)
            return -1;
        memcpy((char *)frame->lengths.buf + tile * sizeof length, &length, sizeof length);
        used += (size_t)length;
    }
    return (int64_t)used;
}

/* The first tile that is damaged or, if only compared, differs; -1 where all is well. */
static Py_ssize_t first_bad(const Frame *frame, int compare)
{
    const uint8_t *coded = frame->coded.buf;
    size_t size = (size_t)frame->coded.len, used = 0;
    for (size_t tile = 0; tile < frame->tiles; tile++) {
        uint8_t *pixels = (uint8_t *)frame->pixels.buf + 2 * tile * frame->tile_pixels;
        int64_t length = length_of(frame, tile);
        if (length <= 0 || (uint64_t)length > size - used)
            return (Py_ssize_t)tile;
        int good = compare
            ? rice_matches(coded + used, (size_t)length, pixels, frame->tile_pixels)
            : rice_decode(coded + used, (size_t)length, pixels, frame->tile_pixels) == 0;
        if (!good)
            return (Py_ssize_t)tile;
        used += (size_t)length;
    }
    return used == size ? -1 : (Py_ssize_t)frame->tiles;
}

PyDoc_STRVAR(encode_doc,
"encode(pixels, tile_pixels, coded, lengths, /)\n--\n\n"
"Encode tiles one behind the other to the start of *coded*; return their bytes together.");

static PyObject *encode(PyObject *module, PyObject *arguments)
{
    Frame frame;
    Py_ssize_t tile_pixels;
    (void)module;
    if (!PyArg_ParseTuple(
            arguments, "y*nw*w*:encode", &frame.pixels, &tile_pixels, &frame.coded,
            &frame.lengths))
        return NULL;
    int64_t used = -1;
    if (is_divided(&frame, tile_pixels)) {
        Py_BEGIN_ALLOW_THREADS
        used = encode_all(&frame);
        Py_END_ALLOW_THREADS
        if (used < 0)
            PyErr_Format(
                PyExc_ValueError, "%zd bytes are too few for %zu tiles of %zd pixels",
                frame.coded.len, frame.tiles, tile_pixels);
    }
    release(&frame);
    return used < 0 ? NULL : PyLong_FromLongLong(used);
}

PyDoc_STRVAR(decode_doc,
"decode(coded, lengths, tile_pixels, pixels, /)\n--\n\n"
"Decode tiles that lie one behind the other. ValueError: one is damaged.");

static PyObject *decode(PyObject *module, PyObject *arguments)
{
    Frame frame;
    Py_ssize_t tile_pixels, bad = -1;
    (void)module;
    if (!PyArg_ParseTuple(
            arguments, "y*y*nw*:decode", &frame.coded, &frame.lengths, &tile_pixels,
            &frame.pixels))
        return NULL;
    if (is_divided(&frame, tile_pixels)) {
        Py_BEGIN_ALLOW_THREADS
        bad = first_bad(&frame, 0);
        Py_END_ALLOW_THREADS
        if (bad >= 0)
            PyErr_Format(PyExc_ValueError, "tile %zd of %zu is damaged", bad, frame.tiles);
    }
    release(&frame);
    if (PyErr_Occurred())
        return NULL;
    Py_RETURN_NONE;
}

PyDoc_STRVAR(matches_doc,
"matches(coded, lengths, tile_pixels, pixels, /)\n--\n\n"
"Decode tiles that lie one behind the other; return whether they are exactly *pixels*.");

static PyObject *matches(PyObject *module, PyObject *arguments)
{
    Frame frame;
    Py_ssize_t tile_pixels, bad = -1;
    (void)module;
    if (!PyArg_ParseTuple(
            arguments, "y*y*ny*:matches", &frame.coded, &frame.lengths, &tile_pixels,
            &frame.pixels))
        return NULL;
    int divided = is_divided(&frame, tile_pixels);
    if (divided) {
        Py_BEGIN_ALLOW_THREADS
        bad = first_bad(&frame, 1);
        Py_END_ALLOW_THREADS
    }
    release(&frame);
    return divided ? PyBool_FromLong(bad < 0) : NULL;
}

static PyMethodDef functions[] = {
    {"encode", encode, METH_VARARGS, encode_doc},
    {"decode", decode, METH_VARARGS, decode_doc},
    {"matches", matches, METH_VARARGS, matches_doc},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot slots[] = {{0, NULL}};

static struct PyModuleDef definition = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "_rice",
    .m_doc = "Rice coding of tiles of 16-bit pixels, in the order of a FITS file.",
    .m_methods = functions,
    .m_slots = slots,
};

PyMODINIT_FUNC PyInit__rice(void)
{
    return PyModuleDef_Init(&definition);
}
