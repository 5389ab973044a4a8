/* SPDX-License-Identifier: MIT
 *
 * Tokens taken out of a sequence, put in front of one, and parameters that are tokens themselves
 * (class token and position table of a vision transformer).
 */
#include "nn/builder.h"

#include <string.h>

static float *row_of(const sdi_mat *m, int64_t row)
{
    return (float *)m->data + row * m->ld;
}

static size_t row_bytes(const nn_op *op)
{
    return (size_t)op->out->shape.c * sizeof(float);
}

/* ---- parameters ------------------------------------------------------------------------------ */

static void parameter(const sdi_exec *exec, const nn_op *op, const sdi_mat *data)
{
    (void)exec;
    const float *values = data[1 + NN_INPUTS].data;
    const sdi_node *s = &op->out->shape;
    for (int64_t r = 0; r < nn_rows(s); r++)
        memcpy(row_of(&data[0], r), values + r * s->c, row_bytes(op));
}

nn_tensor nn_parameter(sdi_nn *n, const char *name, int64_t t, int64_t d)
{
    const int64_t shape[] = {1, t, d};
    nn_op op = nn_call(parameter, NULL, NULL, nn_new_value(n, 1, 1, t, d, SDI_F32));
    op.param[0] = nn_param(n, name, NULL, SDI_ROLE_TABLE, 3, shape);
    return nn_append(n, name, op);
}

/* ---- rows ---------------------------------------------------------------------------------- */

static void pick(const sdi_exec *exec, const nn_op *op, const sdi_mat *data)
{
    (void)exec;
    const int64_t first = op->u.call.args[0], step = op->u.call.args[1];
    const int64_t given = op->in[0]->shape.w, count = op->out->shape.w;
    for (int64_t i = 0; i < op->out->shape.n; i++)
        for (int64_t t = 0; t < count; t++)
            memcpy(row_of(&data[0], i * count + t), row_of(&data[1], i * given + first + t * step),
                   row_bytes(op));
}

nn_tensor nn_pick_tokens(sdi_nn *n, nn_tensor x, int64_t first, int64_t step, int64_t count)
{
    x = nn_as_f32(n, nn_tokens(n, x));
    if (first < 0 || step < 0 || count < 1 || first + (count - 1) * step >= x->w) {
        nn_failed(n, sdi_fail(&n->env, SDIFF_ERROR_INTERNAL, "no %lld tokens from %lld of %lld",
                              (long long)count, (long long)first, (long long)x->w));
        return &n->nothing.shape;
    }
    nn_op op = nn_call(pick, x, NULL, nn_new_value(n, x->n, 1, count, x->c, SDI_F32));
    op.u.call.args[0] = first;
    op.u.call.args[1] = step;
    return nn_append(n, "pick", op);
}

static void join(const sdi_exec *exec, const nn_op *op, const sdi_mat *data)
{
    (void)exec;
    const int64_t a = op->in[0]->shape.w, b = op->in[1]->shape.w;
    const int64_t images = op->in[0]->shape.n;
    for (int64_t i = 0; i < op->out->shape.n; i++) {
        for (int64_t t = 0; t < a; t++)
            memcpy(row_of(&data[0], i * (a + b) + t), row_of(&data[1], i % images * a + t),
                   row_bytes(op));
        for (int64_t t = 0; t < b; t++)
            memcpy(row_of(&data[0], i * (a + b) + a + t), row_of(&data[2], i * b + t),
                   row_bytes(op));
    }
}

nn_tensor nn_join_tokens(sdi_nn *n, nn_tensor x, nn_tensor y)
{
    x = nn_as_f32(n, nn_tokens(n, x));
    y = nn_as_f32(n, nn_tokens(n, y));
    if (x->c != y->c || (x->n != 1 && x->n != y->n)) {
        nn_failed(n, sdi_fail(&n->env, SDIFF_ERROR_MISMATCH,
                              "tokens of width %lld and %lld cannot follow each other",
                              (long long)x->c, (long long)y->c));
        return &n->nothing.shape;
    }
    nn_op op = nn_call(join, x, y, nn_new_value(n, y->n, 1, x->w + y->w, y->c, SDI_F32));
    return nn_append(n, "join", op);
}
