/* SPDX-License-Identifier: MIT
 *
 * Maximum pooling with TensorFlow's "SAME" padding, as BitMaxPool2d of transformers does it: the
 * zeros around the map take part in the maximum.
 */
#include "nn/builder.h"

#include <math.h>

typedef struct job {
    sdi_mat x, out;
    int64_t h, w, c, oh, ow;
    int64_t kernel, stride, pad_top, pad_left;
} job;

/* Zeros in front of a side: half of what the last window lacks, rounded down. */
static int64_t padding(int64_t size, int64_t results, int64_t kernel, int64_t stride)
{
    return SDI_MAX((results - 1) * stride + kernel - size, 0) / 2;
}

/* One pixel of the result: `y`, `x` are the window's first row and column. */
static void pool_window(const job *j, const float *image, int64_t y, int64_t x, float *out)
{
    for (int64_t c = 0; c < j->c; c++)
        out[c] = -INFINITY;
    for (int64_t ky = 0; ky < j->kernel; ky++)
        for (int64_t kx = 0; kx < j->kernel; kx++) {
            const int inside = y + ky >= 0 && y + ky < j->h && x + kx >= 0 && x + kx < j->w;
            const float *in = image + ((y + ky) * j->w + x + kx) * j->x.ld;
            for (int64_t c = 0; c < j->c; c++)
                out[c] = SDI_MAX(out[c], inside ? in[c] : 0.0f);
        }
}

static void pool_row(void *argument, int64_t row, int32_t worker)
{
    (void)worker;
    const job *j = argument;
    const float *image = (const float *)j->x.data + row / j->oh * j->h * j->w * j->x.ld;
    const int64_t y = row % j->oh * j->stride - j->pad_top;
    for (int64_t ox = 0; ox < j->ow; ox++)
        pool_window(j, image, y, ox * j->stride - j->pad_left,
                    (float *)j->out.data + (row * j->ow + ox) * j->out.ld);
}

static void max_pool(const sdi_exec *exec, const nn_op *op, const sdi_mat *data)
{
    const sdi_node *in = &op->in[0]->shape, *out = &op->out->shape;
    job j = {.x = data[1],
             .out = data[0],
             .h = in->h,
             .w = in->w,
             .c = in->c,
             .oh = out->h,
             .ow = out->w,
             .kernel = op->u.call.args[0],
             .stride = op->u.call.args[1]};
    j.pad_top = padding(j.h, j.oh, j.kernel, j.stride);
    j.pad_left = padding(j.w, j.ow, j.kernel, j.stride);
    sdi_parallel_for(exec->pool, out->n * out->h, pool_row, &j);
}

nn_tensor nn_max_pool_same(sdi_nn *n, nn_tensor x, int32_t kernel, int32_t stride)
{
    x = nn_as_f32(n, x);
    const int64_t oh = (x->h + stride - 1) / stride, ow = (x->w + stride - 1) / stride;
    nn_op op = nn_call(max_pool, x, NULL, nn_new_value(n, x->n, oh, ow, x->c, SDI_F32));
    op.u.call.args[0] = kernel;
    op.u.call.args[1] = stride;
    op.flops = (double)(x->n * oh * ow * x->c) * kernel * kernel;
    return nn_append(n, "max_pool", op);
}
