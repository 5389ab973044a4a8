/* SPDX-License-Identifier: MIT
 *
 * Bilinear resize of feature maps, as PyTorch's interpolate(mode="bilinear") places the samples:
 *
 *     align_corners       source = i * (size - 1) / (results - 1)
 *     not align_corners   source = (i + 1/2) * size / results - 1/2, not below 0
 *
 * and mixes the two neighbours of `source` on each side (the last one repeated at the border).
 */
#include "nn/builder.h"

typedef struct job {
    sdi_mat x, out;
    int64_t h, w, c, oh, ow;
    int align_corners;
} job;

/* Neighbours of result i and the weight of the second. */
typedef struct sample {
    int64_t first, second;
    float weight;
} sample;

static sample sample_at(int64_t i, int64_t size, int64_t results, int align_corners)
{
    float source;
    if (align_corners) {
        const float step = results > 1 ? (float)(size - 1) / (float)(results - 1) : 0;
        source = (float)i * step;
    } else {
        source = ((float)i + 0.5f) * ((float)size / (float)results) - 0.5f;
        source = SDI_MAX(source, 0.0f);
    }
    sample s = {.first = SDI_MIN((int64_t)source, size - 1)};
    s.second = SDI_MIN(s.first + 1, size - 1);
    s.weight = source - (float)s.first;
    return s;
}

static void resize_row(void *argument, int64_t row, int32_t worker)
{
    (void)worker;
    const job *j = argument;
    const float *image = (const float *)j->x.data + row / j->oh * j->h * j->w * j->x.ld;
    const sample y = sample_at(row % j->oh, j->h, j->oh, j->align_corners);
    for (int64_t ox = 0; ox < j->ow; ox++) {
        const sample x = sample_at(ox, j->w, j->ow, j->align_corners);
        const float *a = image + (y.first * j->w + x.first) * j->x.ld;
        const float *b = image + (y.first * j->w + x.second) * j->x.ld;
        const float *c = image + (y.second * j->w + x.first) * j->x.ld;
        const float *d = image + (y.second * j->w + x.second) * j->x.ld;
        float *out = (float *)j->out.data + (row * j->ow + ox) * j->out.ld;
        for (int64_t k = 0; k < j->c; k++) {
            const float above = (1 - x.weight) * a[k] + x.weight * b[k];
            const float below = (1 - x.weight) * c[k] + x.weight * d[k];
            out[k] = (1 - y.weight) * above + y.weight * below;
        }
    }
}

static void resize(const sdi_exec *exec, const nn_op *op, const sdi_mat *data)
{
    const sdi_node *in = &op->in[0]->shape, *out = &op->out->shape;
    job j = {.x = data[1],
             .out = data[0],
             .h = in->h,
             .w = in->w,
             .c = in->c,
             .oh = out->h,
             .ow = out->w,
             .align_corners = (int)op->u.call.args[0]};
    sdi_parallel_for(exec->pool, out->n * out->h, resize_row, &j);
}

nn_tensor nn_resize_bilinear(sdi_nn *n, nn_tensor x, int64_t h, int64_t w, int align_corners)
{
    if (x->h == h && x->w == w)
        return x;
    x = nn_as_f32(n, x);
    nn_op op = nn_call(resize, x, NULL, nn_new_value(n, x->n, h, w, x->c, SDI_F32));
    op.u.call.args[0] = align_corners;
    op.flops = 8.0 * (double)(x->n * h * w * x->c);
    return nn_append(n, "resize", op);
}
