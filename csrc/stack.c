/* vampd.io._stack: frames added up as they pass, without the interpreter lock. */
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000 /* Python 3.11, and every newer one */
#include <Python.h>

#include <stdint.h>
#include <string.h>

/* Pixels are 16 bits, the more significant byte first, and may begin anywhere. */
static void add_all(const uint8_t *restrict pixels, size_t count, int32_t *restrict sum,
                    int16_t *restrict highest)
{
    for (size_t i = 0; i < count; i++) {
        uint16_t bits;
        memcpy(&bits, pixels + 2 * i, sizeof bits);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
        bits = (uint16_t)(bits >> 8 | bits << 8);
#endif
        int16_t value = (int16_t)bits;
        sum[i] += value;
        highest[i] = value > highest[i] ? value : highest[i];
    }
}

static int fits(const Py_buffer *pixels, const Py_buffer *sum, const Py_buffer *highest)
{
    return pixels->len % 2 == 0 && sum->len == 2 * pixels->len && highest->len == pixels->len
        && (uintptr_t)sum->buf % sizeof(int32_t) == 0
        && (uintptr_t)highest->buf % sizeof(int16_t) == 0;
}

PyDoc_STRVAR(add_doc,
"add(pixels, sum, highest, /)\n--\n\n"
"Add a frame to *sum*, 32 bits a pixel, and keep the higher of each pixel in *highest*.");

static PyObject *add(PyObject *module, PyObject *arguments)
{
    Py_buffer pixels, sum, highest;
    (void)module;
    if (!PyArg_ParseTuple(arguments, "y*w*w*:add", &pixels, &sum, &highest))
        return NULL;
    int good = fits(&pixels, &sum, &highest);
    if (good) {
        Py_BEGIN_ALLOW_THREADS
        add_all(pixels.buf, (size_t)pixels.len / 2, sum.buf, highest.buf);
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
    {"add", add, METH_VARARGS, add_doc},
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
