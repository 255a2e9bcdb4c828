/* vampd.io._stack: frames added up as they pass, without the interpreter lock. */
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000 /* Python 3.11, and every newer one */
#include <Python.h>

#include <stdint.h>
#include <string.h>

/* Pixels are 16 bits, the more significant byte first, and may begin anywhere. */
static inline int16_t pixel(const uint8_t *frame, size_t i)
{
    uint16_t bits;
    memcpy(&bits, frame + 2 * i, sizeof bits);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    bits = (uint16_t)(bits >> 8 | bits << 8);
#endif
    return (int16_t)bits;
}

static inline int16_t higher(int16_t a, int16_t b)
{
    return a > b ? a : b;
}

static void add_one(const uint8_t *restrict frame, size_t count, int32_t *restrict sum,
                    int16_t *restrict highest)
{
    for (size_t i = 0; i < count; i++) {
        int16_t value = pixel(frame, i);
        sum[i] += value;
        highest[i] = higher(value, highest[i]);
    }
}

/* Sums and highest values, three times a frame's size, are fetched and stored once for four. */
static void add_four(const uint8_t *restrict frames, size_t count, int32_t *restrict sum,
                     int16_t *restrict highest)
{
    const uint8_t *second = frames + 2 * count, *third = second + 2 * count,
                  *fourth = third + 2 * count;
    for (size_t i = 0; i < count; i++) {
        int16_t a = pixel(frames, i), b = pixel(second, i), c = pixel(third, i),
                d = pixel(fourth, i);
        sum[i] += a + b + c + d;
        highest[i] = higher(higher(higher(a, b), higher(c, d)), highest[i]);
    }
}

static void add_all(const uint8_t *frames, size_t bytes, size_t count, int32_t *sum,
                    int16_t *highest)
{
    const uint8_t *end = frames + bytes;
    for (; frames + 8 * count <= end; frames += 8 * count)
        add_four(frames, count, sum, highest);
    for (; frames < end; frames += 2 * count)
        add_one(frames, count, sum, highest);
}

static int fits(const Py_buffer *pixels, const Py_buffer *sum, const Py_buffer *highest)
{
    return highest->len > 0 && highest->len % 2 == 0 && sum->len == 2 * highest->len
        && pixels->len % highest->len == 0
        && (uintptr_t)sum->buf % sizeof(int32_t) == 0
        && (uintptr_t)highest->buf % sizeof(int16_t) == 0;
}

PyDoc_STRVAR(add_frames_doc,
"add_frames(pixels, sum, highest, /)\n--\n\n"
"Add frames, one behind another, to *sum*, 32 bits a pixel; keep the highest of each pixel in\n"
"*highest*.");

static PyObject *add_frames(PyObject *module, PyObject *arguments)
{
    Py_buffer pixels, sum, highest;
    (void)module;
    if (!PyArg_ParseTuple(arguments, "y*w*w*:add_frames", &pixels, &sum, &highest))
        return NULL;
    int good = fits(&pixels, &sum, &highest);
    if (good) {
        Py_BEGIN_ALLOW_THREADS
        add_all(pixels.buf, (size_t)pixels.len, (size_t)highest.len / 2, sum.buf, highest.buf);
        Py_END_ALLOW_THREADS
    } else {
        PyErr_Format(
            PyExc_ValueError, "%zd bytes of pixels, %zd of sums and %zd of highest values",
            pixels.len, sum.len, highest.len);
    }
    PyBuffer_Release(&pixels);
    PyBuffer_Release(&sum);
    PyBuffer_Release(&highest);
    if (!good)
        return NULL;
    Py_RETURN_NONE;
}

static PyMethodDef functions[] = {
    {"add_frames", add_frames, METH_VARARGS, add_frames_doc},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot slots[] = {{0, NULL}};

static struct PyModuleDef definition = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "_stack",
    .m_doc = "Stacks of frames of 16-bit pixels, in the order of a FITS file.",
    .m_methods = functions,
    .m_slots = slots,
};

PyMODINIT_FUNC PyInit__stack(void)
{
    return PyModuleDef_Init(&definition);
}
