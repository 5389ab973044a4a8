/* SPDX-License-Identifier: MIT
 *
 * Element by element: out = act(x) + y, in runs of columns.
 */
#include "kernel/gemm/gemm.h"
#include "kernel/gemm/vector.h"
#include "kernel/parallel.h"

enum {
    RUN = 512,       // columns that are converted at a time
    PIECE = 1 << 14, // numbers of a piece of work
};

static void map_run(const sdi_map *a, int64_t row, int64_t c, int64_t count)
{
    const int64_t y_row = a->y_rows > 0 ? row % a->y_rows : row;
    float buffer[RUN], result[RUN];
    const float *x = sdi_row_read(&a->x, row, c, count, result);
    if (x != result)
        memcpy(result, x, (size_t)count * sizeof *result);
    sdi_act_row(a->act, result, count);
    if (a->y.data) {
        const float *y = sdi_row_read(&a->y, y_row, c, count, buffer);
        for (int64_t i = 0; i < count; i++)
            result[i] += y[i];
    }
    sdi_row_write(&a->out, row, c, count, result);
}

static void rows_piece(void *argument, int64_t index, int32_t worker)
{
    (void)worker;
    const sdi_map *a = argument;
    const int64_t rows = sdi_pieces(PIECE, a->c);
    const int64_t end = SDI_MIN((index + 1) * rows, a->rows);
    for (int64_t row = index * rows; row < end; row++)
        for (int64_t c = 0; c < a->c; c += RUN)
            map_run(a, row, c, SDI_MIN(RUN, a->c - c));
}

void sdi_k_map_gemm(const sdi_exec *exec, const sdi_map *a)
{
    sdi_map copy = *a;
    const int64_t count = sdi_pieces(a->rows, sdi_pieces(PIECE, a->c));
    const double work = (a->act ? 3.0 : 0.5) * (double)a->rows * (double)a->c;
    sdi_parallel_work(exec, count, work, rows_piece, &copy);
}
