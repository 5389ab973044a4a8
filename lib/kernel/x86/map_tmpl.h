/* SPDX-License-Identifier: MIT
 *
 * out = act(x) + y on rows, and plain copies; included by map_<isa>.c. Stretches of a row that fit
 * the first-level cache are widened, calculated in float32 and narrowed. Roof: memory.
 */
#include "kernel/parallel.h"
#include "kernel/x86/elements.h"
#include "kernel/x86/rows.h"
#include "kernel/x86/vmath.h"

enum { PIECE_ELEMENTS = 32 * 1024, STRETCH = 1024 };

static inline void map_loop(sdi_act act, const float *x, const float *y, int64_t count, float *out)
{
    for (int64_t i = 0; i < count; i += VEC) {
        vec value = vec_activate(act, vec_load(x + i, count - i));
        if (y)
            value = vec_add(value, vec_load(y + i, count - i));
        vec_store(out + i, value, count - i);
    }
}

/* The loops with the activation known to the compiler. */
static void map_stretch(sdi_act act, const float *x, const float *y, int64_t count, float *out)
{
    switch (act) {
    case SDI_ACT_NONE: map_loop(SDI_ACT_NONE, x, y, count, out); break;
    case SDI_ACT_SILU: map_loop(SDI_ACT_SILU, x, y, count, out); break;
    case SDI_ACT_RELU: map_loop(SDI_ACT_RELU, x, y, count, out); break;
    case SDI_ACT_QUICK_GELU: map_loop(SDI_ACT_QUICK_GELU, x, y, count, out); break;
    case SDI_ACT_GELU:
    case SDI_ACT_GEGLU: map_loop(SDI_ACT_GELU, x, y, count, out); break;
    }
}

static void map_row(const sdi_map *a, int64_t row)
{
    float x_buffer[STRETCH], y_buffer[STRETCH];
    const int64_t y_row = a->y_rows > 0 ? row % a->y_rows : row;
    for (int64_t c = 0; c < a->c; c += STRETCH) {
        const int64_t count = SDI_MIN(STRETCH, a->c - c);
        const float *x = elements_read(&a->x, row, c, count, x_buffer);
        const float *y = NULL;
        void *to = elements_at(&a->out, row, c);
        float *out = a->out.type == SDI_F32 ? to : x_buffer;
        if (a->y.data)
            y = elements_read(&a->y, y_row, c, count, y_buffer);
        if (a->act == SDI_ACT_NONE && !y) {
            elements_narrow(to, a->out.type, x, count);
            continue;
        }
        map_stretch(a->act, x, y, count, out);
        if (a->out.type != SDI_F32)
            elements_narrow(to, a->out.type, out, count);
    }
}

static int64_t piece_rows(const sdi_map *a)
{
    return SDI_MAX(PIECE_ELEMENTS / a->c, 1);
}

static void rows_piece(void *argument, int64_t index, int32_t worker)
{
    (void)worker;
    const sdi_map *a = argument;
    const int64_t rows = piece_rows(a), row0 = index * rows;
    const int same = a->x.type == a->out.type && a->act == SDI_ACT_NONE && !a->y.data;
    for (int64_t row = row0; row < SDI_MIN(row0 + rows, a->rows); row++) {
        if (same)
            memmove(elements_at(&a->out, row, 0), elements_at(&a->x, row, 0),
                    (size_t)a->c * sdi_dtype_size(a->x.type));
        else
            map_row(a, row);
    }
}

static void map(const sdi_exec *exec, const sdi_map *a)
{
    sdi_map copy = *a;
    const double work = (double)(a->rows * a->c) * (a->act == SDI_ACT_NONE ? 0.25 : 1);
    sdi_parallel_work(exec, sdi_pieces(a->rows, piece_rows(a)), work, rows_piece, &copy);
}
