/* SPDX-License-Identifier: MIT
 *
 * Hostile matrices.
 */
#include "harness.h"

#include <stdlib.h>

enum { GUARD = 256 }; // bytes of 0xff on both sides

kt_mat kt_mat_new(int64_t rows, int64_t columns, sdi_dtype type, int64_t multiple, int64_t padding,
                  int64_t offset)
{
    kt_mat m = {.rows = rows, .columns = columns};
    const size_t size = sdi_dtype_size(type);
    m.m.type = type;
    m.m.ld = (columns + padding + multiple - 1) / multiple * multiple;
    m.bytes = ((size_t)(rows * m.m.ld + offset) * size + 2 * GUARD + 63) / 64 * 64;
    m.base = aligned_alloc(64, m.bytes);
    assert_non_null(m.base);
    memset(m.base, 0xff, m.bytes);
    m.m.data = m.base + GUARD + (size_t)offset * size;
    return m;
}

kt_mat kt_mat_random_layout(const kt_table *t, int64_t rows, int64_t columns, sdi_dtype type)
{
    const int64_t padding = kt_below(2) ? 0 : kt_below(70);
    const int64_t offset = kt_below(2) ? 0 : 1 + kt_below(15);
    return kt_mat_new(rows, columns, type, t->k.row_multiple, padding, offset);
}

kt_mat kt_mat_copy(const kt_mat *from)
{
    kt_mat m = *from;
    m.base = aligned_alloc(64, m.bytes);
    assert_non_null(m.base);
    memcpy(m.base, from->base, m.bytes);
    m.m.data = m.base + ((uint8_t *)from->m.data - from->base);
    return m;
}

void kt_mat_free(kt_mat *m)
{
    free(m->base);
    memset(m, 0, sizeof *m);
}

static void *element(const kt_mat *m, int64_t row, int64_t column)
{
    return (char *)m->m.data + (size_t)(row * m->m.ld + column) * sdi_dtype_size(m->m.type);
}

double kt_get(const kt_mat *m, int64_t row, int64_t column)
{
    float value;
    sdi_convert_to_f32(&value, element(m, row, column), m->m.type, 1);
    return (double)value;
}

void kt_put(kt_mat *m, int64_t row, int64_t column, double value)
{
    const float narrow = (float)value;
    sdi_convert_from_f32(element(m, row, column), m->m.type, &narrow, 1);
}

static double fill_value(kt_fill fill, sdi_dtype type)
{
    switch (fill) {
    case KT_MAX: return 1.5;
    case KT_MIN: return -1.5;
    case KT_SPARSE: return kt_below(8) ? 0 : kt_uniform(-30, 30);
    case KT_TINY: return kt_uniform(-1, 1) * (type == SDI_F16 ? 0x1p-13 : 1e-30);
    case KT_RANDOM:
    case KT_FILLS: break;
    }
    return kt_uniform(-1, 1);
}

void kt_mat_fill(kt_mat *m, kt_fill fill)
{
    for (int64_t row = 0; row < m->rows; row++)
        for (int64_t column = 0; column < m->columns; column++)
            kt_put(m, row, column, fill_value(fill, m->m.type));
}

float *kt_floats(int64_t count, kt_fill fill)
{
    float *values = malloc((size_t)(count ? count : 1) * sizeof *values);
    assert_non_null(values);
    for (int64_t i = 0; i < count; i++)
        values[i] = (float)fill_value(fill, SDI_F32);
    return values;
}
