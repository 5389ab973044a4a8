/* SPDX-License-Identifier: MIT
 *
 * Numbers one by one, for small networks: a linear function, and a clamp that stays smooth.
 */
#include "nn/builder.h"

#include <math.h>

typedef struct job {
    sdi_mat x, out;
    int64_t c;
    float scale, shift;
} job;

static const float *row_in(const job *j, int64_t row)
{
    return (const float *)j->x.data + row * j->x.ld;
}

static float *row_out(const job *j, int64_t row)
{
    return (float *)j->out.data + row * j->out.ld;
}

static void scale_shift_row(void *argument, int64_t row, int32_t worker)
{
    (void)worker;
    const job *j = argument;
    for (int64_t i = 0; i < j->c; i++)
        row_out(j, row)[i] = j->scale * row_in(j, row)[i] + j->shift;
}

static void soft_clamp_row(void *argument, int64_t row, int32_t worker)
{
    (void)worker;
    const job *j = argument;
    for (int64_t i = 0; i < j->c; i++)
        row_out(j, row)[i] = j->scale * tanhf(row_in(j, row)[i] / j->scale);
}

static void run_rows(const sdi_exec *exec, const nn_op *op, const sdi_mat *data, sdi_task_fn task)
{
    job j = {.x = data[1],
             .out = data[0],
             .c = op->out->shape.c,
             .scale = op->u.call.scalars[0],
             .shift = op->u.call.scalars[1]};
    sdi_parallel_for(exec->pool, nn_rows(&op->out->shape), task, &j);
}

static void scale_shift(const sdi_exec *exec, const nn_op *op, const sdi_mat *data)
{
    run_rows(exec, op, data, scale_shift_row);
}

static void soft_clamp(const sdi_exec *exec, const nn_op *op, const sdi_mat *data)
{
    run_rows(exec, op, data, soft_clamp_row);
}

static nn_tensor append(sdi_nn *n, const char *name, nn_call_fn fn, nn_tensor x, float scale,
                        float shift)
{
    x = nn_as_f32(n, x);
    nn_op op = nn_call(fn, x, NULL, nn_new_value(n, x->n, x->h, x->w, x->c, SDI_F32));
    op.u.call.scalars[0] = scale;
    op.u.call.scalars[1] = shift;
    op.flops = 2.0 * (double)nn_rows(x) * (double)x->c;
    return nn_append(n, name, op);
}

nn_tensor nn_scale_shift(sdi_nn *n, nn_tensor x, float scale, float shift)
{
    return append(n, "scale_shift", scale_shift, x, scale, shift);
}

nn_tensor nn_soft_clamp(sdi_nn *n, nn_tensor x, float limit)
{
    return append(n, "soft_clamp", soft_clamp, x, limit, 0);
}
