/* SPDX-License-Identifier: MIT
 *
 * Layer normalisation (Ba et al. 2016; torch.nn.LayerNorm) of each row:
 *
 *     out = weight[c] * (x - mean) / sqrt(var + eps) + bias[c]
 */
#include "kernel/parallel.h"
#include "kernel/ref/ref.h"

static void row_piece(void *argument, int64_t row, int32_t worker)
{
    (void)worker;
    const sdi_layer_norm *a = argument;
    double mean = 0, var = 0;
    for (int64_t c = 0; c < a->c; c++)
        mean += sdi_ref_get(&a->x, row, c);
    mean /= (double)a->c;
    for (int64_t c = 0; c < a->c; c++) {
        const double x = sdi_ref_get(&a->x, row, c) - mean;
        var += x * x;
    }
    var /= (double)a->c;
    const double scale = 1 / sqrt(var + (double)a->eps);
    for (int64_t c = 0; c < a->c; c++) {
        const double x = (sdi_ref_get(&a->x, row, c) - mean) * scale;
        sdi_ref_put(&a->out, row, c, x * (double)a->weight[c] + (double)a->bias[c]);
    }
}

void sdi_k_layer_norm_ref(const sdi_exec *exec, const sdi_layer_norm *a)
{
    sdi_layer_norm copy = *a;
    sdi_parallel_work(exec, a->rows, 5.0 * (double)a->rows * (double)a->c, row_piece, &copy);
}
