/* SPDX-License-Identifier: MIT
 *
 * What has no parameters: views, sums, concatenation, activations, attention, timesteps.
 */
#include "nn/builder.h"

#include <math.h>

static int same_shape(sdi_nn *n, nn_tensor x, nn_tensor y, int channels_too, const char *what)
{
    if (x->n == y->n && x->h == y->h && x->w == y->w && (!channels_too || x->c == y->c))
        return 1;
    nn_failed(n, sdi_fail(&n->env, SDIFF_ERROR_MISMATCH,
                          "%s at '%s': [%lld, %lld, %lld, %lld] and [%lld, %lld, %lld, %lld]", what,
                          n->prefix, (long long)x->n, (long long)x->h, (long long)x->w,
                          (long long)x->c, (long long)y->n, (long long)y->h, (long long)y->w,
                          (long long)y->c));
    return 0;
}

/* out[:, column…] = act(x) + y */
static nn_op map_op(nn_tensor x, nn_tensor y, sdi_act act, const nn_node *out)
{
    nn_op op = {.kind = NN_MAP, .weight = -1, .param = {-1, -1}, .in = {nn_node_of(x)}};
    if (y)
        op.in[1] = nn_node_of(y);
    op.out = out;
    op.u.map = (sdi_map){.rows = nn_rows(x), .c = x->c, .act = act};
    op.flops = 2.0 * (double)nn_rows(x) * (double)x->c;
    return op;
}

static nn_tensor map(sdi_nn *n, const char *name, nn_tensor x, sdi_act act, const nn_node *out)
{
    return nn_append(n, name, map_op(x, NULL, act, out));
}

nn_tensor nn_act(sdi_nn *n, nn_tensor x, sdi_act act)
{
    return map(n, "act", x, act, nn_new_value(n, x->n, x->h, x->w, x->c, SDI_F32));
}

nn_tensor nn_as_f32(sdi_nn *n, nn_tensor x)
{
    if (n->status != SDIFF_OK || n->plan->buffers[nn_node_of(x)->buffer].type == SDI_F32)
        return x;
    return nn_act(n, x, SDI_ACT_NONE);
}

nn_tensor nn_add(sdi_nn *n, nn_tensor x, nn_tensor y)
{
    const sdi_node one = {.n = x->n, .h = y->h, .w = y->w, .c = y->c};
    const int repeat = y->n == 1 && x->n > 1;
    if (!same_shape(n, x, repeat ? &one : y, 1, "sum of different shapes"))
        return &n->nothing.shape;
    nn_op op = map_op(x, y, SDI_ACT_NONE, nn_new_value(n, x->n, x->h, x->w, x->c, SDI_F32));
    op.u.map.y_rows = repeat ? x->h * x->w : 0;
    return nn_append(n, "add", op);
}

nn_tensor nn_concat(sdi_nn *n, nn_tensor x, nn_tensor y)
{
    if (!same_shape(n, x, y, 0, "concatenation of different sizes"))
        return &n->nothing.shape;
    nn_node *both = nn_new_value(n, x->n, x->h, x->w, x->c + y->c, SDI_F32);
    nn_node *left = nn_new_view(n, &both->shape, x->n, x->h, x->w, x->c, 0);
    nn_node *right = nn_new_view(n, &both->shape, y->n, y->h, y->w, y->c, x->c);
    map(n, "concat", x, SDI_ACT_NONE, left);
    map(n, "concat", y, SDI_ACT_NONE, right);
    return &both->shape;
}

nn_tensor nn_tokens(sdi_nn *n, nn_tensor x)
{
    return &nn_new_view(n, x, x->n, 1, x->h * x->w, x->c, 0)->shape;
}

nn_tensor nn_map(sdi_nn *n, nn_tensor tokens, int64_t h, int64_t w)
{
    if (h * w != tokens->h * tokens->w)
        nn_failed(n, sdi_fail(&n->env, SDIFF_ERROR_INTERNAL, "%lld tokens are no %lld x %lld map",
                              (long long)tokens->w, (long long)h, (long long)w));
    return &nn_new_view(n, tokens, tokens->n, h, w, tokens->c, 0)->shape;
}

nn_tensor nn_columns(sdi_nn *n, nn_tensor x, int64_t first, int64_t count)
{
    return &nn_new_view(n, x, x->n, x->h, x->w, count, first)->shape;
}

nn_tensor nn_attention(sdi_nn *n, nn_tensor q, nn_tensor k, nn_tensor v, int32_t heads, int causal)
{
    if (heads < 1 || q->c % heads != 0 || k->c != q->c || v->c != q->c || k->n != q->n) {
        nn_failed(n, sdi_fail(&n->env, SDIFF_ERROR_MISMATCH,
                              "attention at '%s': %lld channels, %d heads", n->prefix,
                              (long long)q->c, heads));
        return &n->nothing.shape;
    }
    const int64_t d = q->c / heads, tq = q->h * q->w, tk = k->h * k->w;
    nn_op op = {.kind = NN_ATTENTION, .weight = -1, .param = {-1, -1},
                .in = {nn_node_of(q), nn_node_of(k), nn_node_of(v)}};
    op.u.attention = (sdi_attention){.b = q->n, .tq = tq, .tk = tk, .heads = heads,
                                     .d = (int32_t)d, .scale = (float)(1 / sqrt((double)d)),
                                     .causal = causal};
    op.flops = 4.0 * (double)q->n * (double)tq * (double)tk * (double)q->c;
    op.out = nn_new_value(n, q->n, q->h, q->w, q->c, n->weights->kernels.operand);
    return nn_append(n, "attention", op);
}

nn_tensor nn_timestep_embedding(sdi_nn *n, nn_tensor t, int64_t dim, int flip_sin_to_cos,
                                float shift)
{
    nn_op op = {.kind = NN_TIMESTEPS, .weight = -1, .param = {-1, -1}, .in = {nn_node_of(t)}};
    op.u.timesteps.flip = flip_sin_to_cos;
    op.u.timesteps.shift = shift;
    op.out = nn_new_value(n, t->n, 1, 1, dim, SDI_F32);
    return nn_append(n, "timesteps", op);
}
