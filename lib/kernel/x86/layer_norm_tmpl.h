/* SPDX-License-Identifier: MIT
 *
 * Layer normalisation, row by row; included by layer_norm_<isa>.c. A row stays in the first-level
 * cache: its mean, then sums of x - mean and (x - mean)^2 (the first corrects the rounding of the
 * mean), then the result. Roof: memory, one reading and one writing.
 */
#include "kernel/parallel.h"
#include "kernel/x86/elements.h"
#include "kernel/x86/fpu.h"
#include "kernel/x86/rows.h"

#include <math.h>

enum {
    PIECE_ELEMENTS = 16 * 1024,
    BUFFER = 4096 // columns of rows that are not float32 and wider come in parts
};

/* Two numbers, high + low, that together are the mean, and 1 / sqrt(variance + eps). */
typedef struct row_stats {
    float high, low, inverse;
} row_stats;

typedef struct row_sums {
    vec sum, square;
} row_sums;

static row_sums add_part(const float *x, int64_t count, float shift, row_sums s)
{
    const vec m = vec_set(shift);
    vec sum[2] = {s.sum, vec_set(0)}, square[2] = {s.square, vec_set(0)};
    int64_t i = 0;
    for (; i + 2 * VEC <= count; i += 2 * VEC) {
        for (int k = 0; k < 2; k++) {
            const vec y = vec_sub(vec_loadu(x + i + k * VEC), m);
            sum[k] = vec_add(sum[k], y);
            square[k] = vec_fma(y, y, square[k]);
        }
    }
    for (; i < count; i++) { // the last lanes one by one: absent ones must not count as -shift
        const vec y = vec_load((const float[VEC]){x[i] - shift}, VEC);
        sum[0] = vec_add(sum[0], y);
        square[0] = vec_fma(y, y, square[0]);
    }
    s.sum = vec_add(sum[0], sum[1]);
    s.square = vec_add(square[0], square[1]);
    return s;
}

/* Sums of a row's x - shift and (x - shift)^2. */
static row_sums row_moments(const sdi_layer_norm *a, int64_t row, float shift, float *buffer)
{
    row_sums s = {vec_set(0), vec_set(0)};
    if (a->x.type == SDI_F32)
        return add_part(elements_read(&a->x, row, 0, a->c, buffer), a->c, shift, s);
    for (int64_t c = 0; c < a->c; c += BUFFER) {
        const int64_t count = SDI_MIN(BUFFER, a->c - c);
        s = add_part(elements_read(&a->x, row, c, count, buffer), count, shift, s);
    }
    return s;
}

static row_stats stats_of(const sdi_layer_norm *a, int64_t row, float *buffer)
{
    row_stats t;
    const double count = (double)a->c;
    t.high = (float)((double)vec_sum(row_moments(a, row, 0, buffer).sum) / count);
    const row_sums s = row_moments(a, row, t.high, buffer);
    const double low = (double)vec_sum(s.sum) / count;
    const double variance = (double)vec_sum(s.square) / count - low * low;
    t.low = (float)low;
    t.inverse = (float)(1 / sqrt(SDI_MAX(variance, 0) + (double)a->eps));
    return t;
}

static void apply_part(const sdi_layer_norm *a, int64_t c0, int64_t count, const row_stats *t,
                       const float *x, float *out)
{
    const vec high = vec_set(t->high), low = vec_set(t->low), inverse = vec_set(t->inverse);
    for (int64_t i = 0; i < count; i += VEC) {
        const vec y = vec_sub(vec_sub(vec_load(x + i, count - i), high), low);
        const vec w = vec_load(a->weight + c0 + i, count - i);
        const vec b = vec_load(a->bias + c0 + i, count - i);
        vec_store(out + i, vec_fma(vec_mul(y, inverse), w, b), count - i);
    }
}

static void normalise_row(const sdi_layer_norm *a, int64_t row, float *buffer)
{
    const row_stats t = stats_of(a, row, buffer);
    const int64_t step = a->x.type == SDI_F32 && a->out.type == SDI_F32 ? a->c : BUFFER;
    for (int64_t c = 0; c < a->c; c += step) {
        const int64_t count = SDI_MIN(step, a->c - c);
        const float *x = elements_read(&a->x, row, c, count, buffer);
        void *to = elements_at(&a->out, row, c);
        float *y = a->out.type == SDI_F32 ? to : buffer;
        apply_part(a, c, count, &t, x, y);
        if (a->out.type != SDI_F32)
            elements_narrow(to, a->out.type, y, count);
    }
}

static int64_t piece_rows(const sdi_layer_norm *a)
{
    return SDI_MAX(PIECE_ELEMENTS / a->c, 1);
}

static void rows_piece(void *argument, int64_t index, int32_t worker)
{
    (void)worker;
    const sdi_layer_norm *a = argument;
    const int64_t rows = piece_rows(a), row0 = index * rows;
    const unsigned callers = fpu_enter();
    float buffer[BUFFER];
    for (int64_t row = row0; row < SDI_MIN(row0 + rows, a->rows); row++)
        normalise_row(a, row, buffer);
    fpu_leave(callers);
}

static void layer_norm(const sdi_exec *exec, const sdi_layer_norm *a)
{
    sdi_layer_norm copy = *a;
    sdi_parallel_work(exec, sdi_pieces(a->rows, piece_rows(a)), (double)(a->rows * a->c) / 2,
                      rows_piece, &copy);
}
