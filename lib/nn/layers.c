/* SPDX-License-Identifier: MIT
 *
 * Layers with parameters. Names and shapes are PyTorch's: <name>.weight and <name>.bias, linear
 * [out, in], convolution [out, in, kh, kw].
 *
 * Element types: what only products read (normalised values, queries, keys, values, the inside of
 * feed-forward layers) takes the operand type of the kernels; the residual stream is float32.
 */
#include "nn/builder.h"

static sdi_dtype operand(const sdi_nn *n)
{
    return n->weights->kernels.operand;
}

/* ---- linear ---------------------------------------------------------------------------------- */

typedef struct linear_form {
    int32_t parts; // layers side by side
    int bias;
    sdi_act act;
    nn_tensor residual;
    sdi_dtype type; // of the result
    int32_t conv1x1; // the weight is declared as [out, in, 1, 1]
} linear_form;

/* Parameters of `parts` layers that share one packed matrix (and one row of biases). */
static void linear_params(sdi_nn *n, const char *const *names, int64_t out, int64_t in,
                          const linear_form *form, nn_op *op)
{
    const int64_t shape[4] = {out, in, 1, 1};
    int32_t matrix = -1;
    if (n->declaring && n->status == SDIFF_OK) {
        matrix = sdi_weights_add_matrix(&n->env, n->weights, out * form->parts, in, 1, 1,
                                        form->act == SDI_ACT_GEGLU);
        if (matrix < 0)
            nn_failed(n, SDIFF_ERROR_NO_MEMORY);
    }
    for (int32_t i = 0; i < form->parts; i++) {
        const int32_t p = nn_param(n, names[i], "weight", SDI_ROLE_MATRIX, form->conv1x1 ? 4 : 2,
                                   shape);
        if (p < 0)
            return;
        if (n->declaring) {
            n->weights->params[p].matrix = matrix;
            n->weights->params[p].row0 = i * out;
        }
        if (i == 0)
            op->weight = p;
    }
    for (int32_t i = 0; form->bias && i < form->parts; i++) {
        const int32_t p = nn_param(n, names[i], "bias", SDI_ROLE_VECTOR, 1, shape);
        if (p < 0)
            return;
        if (i == 0) {
            op->param[0] = p;
        } else if (n->declaring) { // one row of biases
            n->weights->params[p].owner = op->param[0];
            n->weights->params[p].row0 = i * out;
        }
    }
}

static nn_tensor linear(sdi_nn *n, const char *const *names, nn_tensor x, int64_t out,
                        const linear_form *form)
{
    const int64_t columns = out * form->parts;
    nn_op op = {.kind = NN_LINEAR, .weight = -1, .param = {-1, -1}};
    linear_params(n, names, out, x->c, form, &op);
    op.in[0] = nn_node_of(x);
    op.in[1] = form->residual ? nn_node_of(form->residual) : NULL;
    op.u.linear.m = nn_rows(x);
    op.u.linear.act = form->act;
    op.flops = 2.0 * (double)nn_rows(x) * (double)columns * (double)x->c;
    op.out = nn_new_value(n, x->n, x->h, x->w, form->act == SDI_ACT_GEGLU ? columns / 2 : columns,
                          form->type);
    return nn_append(n, names[0], op);
}

nn_tensor nn_linear(sdi_nn *n, const char *name, nn_tensor x, int64_t out)
{
    const linear_form form = {.parts = 1, .bias = 1, .type = SDI_F32};
    return linear(n, &name, x, out, &form);
}

nn_tensor nn_linear_act(sdi_nn *n, const char *name, nn_tensor x, int64_t out, sdi_act act)
{
    const linear_form form = {.parts = 1, .bias = 1, .act = act, .type = operand(n)};
    return linear(n, &name, x, out, &form);
}

nn_tensor nn_linear_add(sdi_nn *n, const char *name, nn_tensor x, int64_t out, nn_tensor residual)
{
    const linear_form form = {.parts = 1, .bias = 1, .residual = residual, .type = SDI_F32};
    return linear(n, &name, x, out, &form);
}

nn_tensor nn_linear_fused(sdi_nn *n, const char *const *names, int32_t count, nn_tensor x,
                          int64_t out, int bias)
{
    const linear_form form = {.parts = count, .bias = bias, .type = operand(n)};
    return linear(n, names, x, out, &form);
}

nn_tensor nn_geglu(sdi_nn *n, const char *name, nn_tensor x, int64_t out)
{
    const linear_form form = {.parts = 1, .bias = 1, .act = SDI_ACT_GEGLU, .type = operand(n)};
    return linear(n, &name, x, 2 * out, &form);
}

/* ---- convolution ----------------------------------------------------------------------------- */

nn_tensor nn_conv2d(sdi_nn *n, const char *name, nn_tensor x, int64_t out, int32_t kernel)
{
    const int32_t pad = kernel / 2;
    const nn_conv_options options = {.kernel = kernel, .pad_top = pad, .pad_left = pad,
                                     .pad_bottom = pad, .pad_right = pad};
    return nn_conv2d_with(n, name, x, out, &options);
}

/* A 1x1 convolution on rows is a linear layer. */
static nn_tensor conv1x1(sdi_nn *n, const char *name, nn_tensor x, int64_t out,
                         const nn_conv_options *o)
{
    const linear_form form = {.parts = 1, .bias = !o->no_bias, .residual = o->residual,
                              .type = SDI_F32, .conv1x1 = 1};
    return linear(n, &name, x, out, &form);
}

static void conv_params(sdi_nn *n, const char *name, int64_t out, int64_t in,
                        const nn_conv_options *o, nn_op *op)
{
    const int64_t shape[4] = {out, in, o->kernel, o->kernel};
    const int32_t p = nn_param(n, name, "weight", SDI_ROLE_MATRIX, 4, shape);
    if (p < 0)
        return;
    sdi_param *param = &n->weights->params[p];
    if (n->declaring) {
        param->standardize = o->standardize;
        param->matrix = sdi_weights_add_matrix(&n->env, n->weights, out, in, o->kernel, o->kernel,
                                               0);
        if (param->matrix < 0)
            nn_failed(n, SDIFF_ERROR_NO_MEMORY);
    }
    op->weight = p;
    if (!o->no_bias)
        op->param[0] = nn_param(n, name, "bias", SDI_ROLE_VECTOR, 1, shape);
}

nn_tensor nn_conv2d_with(sdi_nn *n, const char *name, nn_tensor x, int64_t out,
                         const nn_conv_options *o)
{
    const int32_t stride = o->stride ? o->stride : 1;
    const int64_t up_h = o->up_h ? o->up_h : x->h, up_w = o->up_w ? o->up_w : x->w;
    if (o->kernel == 1 && stride == 1 && up_h == x->h && up_w == x->w && !o->channel_add &&
        !o->standardize && !o->pad_top && !o->pad_left && !o->pad_bottom && !o->pad_right)
        return conv1x1(n, name, x, out, o);
    nn_op op = {.kind = NN_CONV, .weight = -1, .param = {-1, -1}};
    conv_params(n, name, out, x->c, o, &op);
    const int64_t oh = (up_h + o->pad_top + o->pad_bottom - o->kernel) / stride + 1;
    const int64_t ow = (up_w + o->pad_left + o->pad_right - o->kernel) / stride + 1;
    op.in[0] = nn_node_of(x);
    op.in[1] = o->residual ? nn_node_of(o->residual) : NULL;
    op.in[2] = o->channel_add ? nn_node_of(o->channel_add) : NULL;
    op.u.conv = (sdi_conv){.n = x->n, .h = x->h, .w = x->w, .up_h = up_h, .up_w = up_w, .oh = oh,
                           .ow = ow, .stride = stride, .pad_top = o->pad_top,
                           .pad_left = o->pad_left};
    op.out = nn_new_value(n, x->n, oh, ow, out, SDI_F32);
    op.flops = 2.0 * (double)x->n * (double)oh * (double)ow * (double)out * (double)x->c *
               o->kernel * o->kernel;
    return nn_append(n, name, op);
}

/* ---- norms ----------------------------------------------------------------------------------- */

static nn_tensor group_norm(sdi_nn *n, const char *name, nn_tensor x, int32_t groups, float eps,
                            sdi_act act)
{
    nn_op op = {.kind = NN_GROUP_NORM, .weight = -1, .in = {nn_node_of(x)}};
    op.param[0] = nn_param(n, name, "weight", SDI_ROLE_VECTOR, 1, &x->c);
    op.param[1] = nn_param(n, name, "bias", SDI_ROLE_VECTOR, 1, &x->c);
    if (groups < 1 || x->c % groups != 0)
        nn_failed(n, sdi_fail(&n->env, SDIFF_ERROR_MISMATCH,
                              "%lld channels of '%s.%s' cannot be divided into %d groups",
                              (long long)x->c, n->prefix, name, groups));
    op.u.group_norm = (sdi_group_norm){.n = x->n, .pixels = x->h * x->w, .c = x->c,
                                       .groups = groups, .eps = eps, .act = act};
    op.flops = 10.0 * (double)nn_rows(x) * (double)x->c;
    op.out = nn_new_value(n, x->n, x->h, x->w, x->c, operand(n));
    return nn_append(n, name, op);
}

nn_tensor nn_group_norm(sdi_nn *n, const char *name, nn_tensor x, int32_t groups, float eps)
{
    return group_norm(n, name, x, groups, eps, SDI_ACT_NONE);
}

nn_tensor nn_group_norm_silu(sdi_nn *n, const char *name, nn_tensor x, int32_t groups, float eps)
{
    return group_norm(n, name, x, groups, eps, SDI_ACT_SILU);
}

nn_tensor nn_layer_norm(sdi_nn *n, const char *name, nn_tensor x, float eps)
{
    nn_op op = {.kind = NN_LAYER_NORM, .weight = -1, .in = {nn_node_of(x)}};
    op.param[0] = nn_param(n, name, "weight", SDI_ROLE_VECTOR, 1, &x->c);
    op.param[1] = nn_param(n, name, "bias", SDI_ROLE_VECTOR, 1, &x->c);
    op.u.layer_norm = (sdi_layer_norm){.rows = nn_rows(x), .c = x->c, .eps = eps};
    op.flops = 8.0 * (double)nn_rows(x) * (double)x->c;
    op.out = nn_new_value(n, x->n, x->h, x->w, x->c, operand(n));
    return nn_append(n, name, op);
}

/* ---- tables ---------------------------------------------------------------------------------- */

nn_tensor nn_embedding(sdi_nn *n, const char *name, nn_tensor ids, int64_t vocab, int64_t d)
{
    const int64_t shape[] = {vocab, d};
    nn_op op = {.kind = NN_EMBED, .weight = -1, .in = {nn_node_of(ids)}, .param = {-1, -1}};
    op.param[0] = nn_param(n, name, "weight", SDI_ROLE_LOOKUP, 2, shape);
    op.out = nn_new_value(n, ids->n, ids->h, ids->w, d, SDI_F32);
    return nn_append(n, name, op);
}

nn_tensor nn_add_positions(sdi_nn *n, const char *name, nn_tensor x, int64_t rows)
{
    const int64_t shape[] = {rows, x->c};
    nn_op op = {.kind = NN_MAP, .weight = -1, .in = {nn_node_of(x)}, .param = {-1, -1}};
    op.param[0] = nn_param(n, name, NULL, SDI_ROLE_TABLE, 2, shape);
    if (x->w > rows)
        nn_failed(n, sdi_fail(&n->env, SDIFF_ERROR_LIMIT, "%lld tokens, but '%s.%s' holds %lld",
                              (long long)x->w, n->prefix, name, (long long)rows));
    op.u.map = (sdi_map){.rows = nn_rows(x), .c = x->c, .y_rows = x->w};
    op.out = nn_new_value(n, x->n, x->h, x->w, x->c, SDI_F32);
    return nn_append(n, name, op);
}
