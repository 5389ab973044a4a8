/* SPDX-License-Identifier: MIT
 *
 * Element by element: out = act(x) + y. Without y and act a copy, which may convert the type or
 * fill some columns of a wider matrix.
 */
#include "kernel/parallel.h"
#include "kernel/ref/ref.h"

static void row_piece(void *argument, int64_t row, int32_t worker)
{
    (void)worker;
    const sdi_map *a = argument;
    const int64_t y_row = a->y_rows > 0 ? row % a->y_rows : row;
    for (int64_t c = 0; c < a->c; c++) {
        double value = sdi_ref_act(a->act, sdi_ref_get(&a->x, row, c));
        if (a->y.data)
            value += sdi_ref_get(&a->y, y_row, c);
        sdi_ref_put(&a->out, row, c, value);
    }
}

void sdi_k_map_ref(const sdi_exec *exec, const sdi_map *a)
{
    sdi_map copy = *a;
    const double work = (a->act ? 10.0 : 2.0) * (double)a->rows * (double)a->c;
    sdi_parallel_work(exec, a->rows, work, row_piece, &copy);
}
