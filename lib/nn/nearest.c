/* SPDX-License-Identifier: MIT
 *
 * Vector quantisation (van den Oord et al. 2017): each row is replaced by the nearest row of a
 * table, by Euclidean distance; the first of equals.
 */
#include "nn/builder.h"

#include <math.h>
#include <string.h>

typedef struct job {
    sdi_mat x, out;
    const float *table;
    int64_t rows, c;
} job;

static double distance(const float *a, const float *b, int64_t count)
{
    double sum = 0;
    for (int64_t i = 0; i < count; i++)
        sum += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
    return sum;
}

static void nearest_row(void *argument, int64_t row, int32_t worker)
{
    (void)worker;
    const job *j = argument;
    const float *x = (const float *)j->x.data + row * j->x.ld;
    int64_t best = 0;
    double least = INFINITY;
    for (int64_t i = 0; i < j->rows; i++) {
        const double d = distance(x, j->table + i * j->c, j->c);
        if (d < least) {
            least = d;
            best = i;
        }
    }
    memcpy((float *)j->out.data + row * j->out.ld, j->table + best * j->c,
           (size_t)j->c * sizeof(float));
}

static void nearest(const sdi_exec *exec, const nn_op *op, const sdi_mat *data)
{
    job j = {.x = data[1],
             .out = data[0],
             .table = data[1 + NN_INPUTS].data,
             .rows = op->u.call.args[0],
             .c = op->out->shape.c};
    sdi_parallel_for(exec->pool, nn_rows(&op->out->shape), nearest_row, &j);
}

nn_tensor nn_nearest_rows(sdi_nn *n, const char *name, nn_tensor x, int64_t rows)
{
    const int64_t shape[] = {rows, x->c};
    x = nn_as_f32(n, x);
    nn_op op = nn_call(nearest, x, NULL, nn_new_value(n, x->n, x->h, x->w, x->c, SDI_F32));
    op.param[0] = nn_param(n, name, "weight", SDI_ROLE_TABLE, 2, shape);
    op.u.call.args[0] = rows;
    op.flops = 3.0 * (double)nn_rows(x) * (double)rows * (double)x->c;
    return nn_append(n, name, op);
}
