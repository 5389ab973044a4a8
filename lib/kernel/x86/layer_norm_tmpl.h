/* SPDX-License-Identifier: MIT
 *
 * Layer normalisation, row by row; included by layer_norm_<isa>.c. A row stays in the first-level
 * cache: its mean, summed in double and kept as two floats, then the sum of (x - mean)^2, then the
 * result. Roof: memory, one reading and one writing.
 */
#include "kernel/parallel.h"
#include "kernel/x86/elements.h"
#include "kernel/x86/fpu.h"
#include "kernel/x86/rows.h"

#include <math.h>

enum {
    PIECE_ELEMENTS = 16 * 1024,
    BUFFER = 4096, // columns of rows that are not float32 and wider come in parts
    STRETCH = 256  // columns that are summed in floats, a multiple of VEC
};

/* Two numbers, high + low, that together are the mean, and 1 / sqrt(variance + eps). */
typedef struct row_stats {
    float high, low, inverse;
} row_stats;

static double sum_part(const float *x, int64_t count)
{
    vec_wide sum[2];
    double lanes[2 * VEC] = {0}, total = 0;
    int64_t i = 0;
    sum[0] = sum[1] = vec_wide_load(lanes);
    for (; i + 2 * VEC <= count; i += 2 * VEC) {
        sum[0] = vec_wide_add(sum[0], vec_loadu(x + i));
        sum[1] = vec_wide_add(sum[1], vec_loadu(x + i + VEC));
    }
    for (; i < count; i += VEC)
        sum[0] = vec_wide_add(sum[0], vec_load(x + i, count - i));
    vec_wide_store(lanes, sum[0]);
    vec_wide_store(lanes + VEC, sum[1]);
    for (int k = 0; k < 2 * VEC; k++)
        total += lanes[k];
    return total;
}

/* Floats are summed over short stretches only: equal squares would all be rounded the same way. */
static double squares_part(const float *x, int64_t count, float mean)
{
    const vec m = vec_set(mean);
    double sum = 0;
    int64_t i = 0;
    while (i + VEC <= count) {
        const int64_t end = SDI_MIN(i + STRETCH, count);
        vec square[2] = {vec_set(0), vec_set(0)};
        for (; i + 2 * VEC <= end; i += 2 * VEC) {
            for (int k = 0; k < 2; k++) {
                const vec y = vec_sub(vec_loadu(x + i + k * VEC), m);
                square[k] = vec_fma(y, y, square[k]);
            }
        }
        if (i + VEC <= end) {
            const vec y = vec_sub(vec_loadu(x + i), m);
            square[0] = vec_fma(y, y, square[0]);
            i += VEC;
        }
        sum += (double)vec_sum(vec_add(square[0], square[1]));
    }
    for (; i < count; i++) // one by one: absent lanes must not count as -mean
        sum += ((double)x[i] - (double)mean) * ((double)x[i] - (double)mean);
    return sum;
}

/* The parts of a row that fit the buffer; one if nothing has to be widened. */
static int64_t part_of(const sdi_layer_norm *a)
{
    return a->x.type == SDI_F32 && a->out.type == SDI_F32 ? a->c : BUFFER;
}

static row_stats stats_of(const sdi_layer_norm *a, int64_t row, float *buffer)
{
    const int64_t part = part_of(a);
    double mean = 0, variance = 0;
    row_stats t;
    for (int64_t c = 0; c < a->c; c += part) {
        const int64_t count = SDI_MIN(part, a->c - c);
        mean += sum_part(elements_read(&a->x, row, c, count, buffer), count);
    }
    mean /= (double)a->c;
    t.high = (float)mean;
    t.low = (float)(mean - (double)t.high);
    for (int64_t c = 0; c < a->c; c += part) {
        const int64_t count = SDI_MIN(part, a->c - c);
        variance += squares_part(elements_read(&a->x, row, c, count, buffer), count, t.high);
    }
    variance = variance / (double)a->c - (double)t.low * (double)t.low;
    t.inverse = (float)(1 / sqrt(SDI_MAX(variance, 0) + (double)a->eps));
    return t;
}

static inline void apply_vec(const float *x, const float *weight, const float *bias, int64_t n,
                             const row_stats *t, float *out)
{
    const vec y = vec_sub(vec_sub(vec_load(x, n), vec_set(t->high)), vec_set(t->low));
    const vec z = vec_mul(y, vec_set(t->inverse));
    vec_store(out, vec_fma(z, vec_load(weight, n), vec_load(bias, n)), n);
}

static void apply_part(const sdi_layer_norm *a, int64_t c0, int64_t count, const row_stats *stats,
                       const float *x, float *out)
{
    const float *weight = a->weight + c0, *bias = a->bias + c0;
    const row_stats t = *stats; // not what out could point into
    int64_t i = 0;
    for (; i + VEC <= count; i += VEC)
        apply_vec(x + i, weight + i, bias + i, VEC, &t, out + i);
    if (i < count)
        apply_vec(x + i, weight + i, bias + i, count - i, &t, out + i);
}

static void normalise_row(const sdi_layer_norm *a, int64_t row, float *buffer)
{
    const row_stats t = stats_of(a, row, buffer);
    const int64_t step = part_of(a);
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
