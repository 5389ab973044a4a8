/* SPDX-License-Identifier: MIT
 *
 * Layer normalisation: three passes over a row while it is in cache; sums in double, on eight lanes
 * so that they vectorise.
 */
#include "kernel/gemm/gemm.h"
#include "kernel/gemm/vector.h"
#include "kernel/parallel.h"

#include <math.h>

enum {
    LANES = 8,
    RUN = 512,       // columns that are converted at a time
    PIECE = 1 << 14, // numbers of a piece of work
};

/* Sum of (x - shift)^power. */
static double run_sum(const float *x, int64_t count, double shift, int power)
{
    double sums[LANES] = {0}, sum = 0;
    int64_t i = 0;
    for (; i + LANES <= count; i += LANES) {
        for (int lane = 0; lane < LANES; lane++) {
            const double d = (double)x[i + lane] - shift;
            sums[lane] += power == 2 ? d * d : d;
        }
    }
    for (; i < count; i++) {
        const double d = (double)x[i] - shift;
        sum += power == 2 ? d * d : d;
    }
    for (int lane = 0; lane < LANES; lane++)
        sum += sums[lane];
    return sum;
}

static double row_mean(const sdi_layer_norm *a, int64_t row, double shift, int power)
{
    float buffer[RUN];
    double sum = 0;
    for (int64_t c = 0; c < a->c; c += RUN) {
        const int64_t count = SDI_MIN(RUN, a->c - c);
        sum += run_sum(sdi_row_read(&a->x, row, c, count, buffer), count, shift, power);
    }
    return sum / (double)a->c;
}

static void normalise_row(const sdi_layer_norm *a, int64_t row)
{
    const double mean = row_mean(a, row, 0, 1);
    const double var = row_mean(a, row, mean, 2);
    const float shift = (float)mean, scale = (float)(1 / sqrt(var + (double)a->eps));
    float buffer[RUN], result[RUN];
    for (int64_t c = 0; c < a->c; c += RUN) {
        const int64_t count = SDI_MIN(RUN, a->c - c);
        const float *x = sdi_row_read(&a->x, row, c, count, buffer);
        for (int64_t i = 0; i < count; i++)
            result[i] = (x[i] - shift) * scale * a->weight[c + i] + a->bias[c + i];
        sdi_row_write(&a->out, row, c, count, result);
    }
}

static void rows_piece(void *argument, int64_t index, int32_t worker)
{
    (void)worker;
    const sdi_layer_norm *a = argument;
    const int64_t rows = sdi_pieces(PIECE, a->c);
    const int64_t end = SDI_MIN((index + 1) * rows, a->rows);
    for (int64_t row = index * rows; row < end; row++)
        normalise_row(a, row);
}

void sdi_k_layer_norm_gemm(const sdi_exec *exec, const sdi_layer_norm *a)
{
    sdi_layer_norm copy = *a;
    const int64_t count = sdi_pieces(a->rows, sdi_pieces(PIECE, a->c));
    sdi_parallel_work(exec, count, 2.0 * (double)a->rows * (double)a->c, rows_piece, &copy);
}
