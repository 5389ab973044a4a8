/* SPDX-License-Identifier: MIT
 *
 * Running a plan: each operation gets its addresses and goes to the kernel table.
 */
#include "nn/builder.h"

#include "base/memory.h"

#include <math.h>
#include <string.h>

sdi_mat nn_mat(const sdi_plan *plan, const nn_node *node, void *arena)
{
    nn_buffer *b = &plan->buffers[node->buffer];
    char *base = b->own ? plan->own : arena;
    if (!base) /* while planning there is no memory yet, but present operands must look present */
        return (sdi_mat){.data = (void *)b, .ld = b->ld, .type = b->type};
    return (sdi_mat){.data = base + b->offset + (size_t)node->column * sdi_dtype_size(b->type),
                     .ld = b->ld, .type = b->type};
}

static const float *values(const sdi_plan *plan, int32_t param)
{
    return param >= 0 ? plan->weights->params[param].values : NULL;
}

/* ---- kernel arguments ------------------------------------------------------------------------ */

static sdi_mat mat_or_none(const sdi_plan *plan, const nn_node *node, void *arena)
{
    return node ? nn_mat(plan, node, arena) : (sdi_mat){0};
}

static sdi_linear linear_args(const sdi_plan *plan, const nn_op *op, void *arena)
{
    sdi_linear a = op->u.linear;
    a.x = nn_mat(plan, op->in[0], arena);
    a.w = nn_matrix_of(plan, op);
    a.bias = values(plan, op->param[0]);
    a.residual = mat_or_none(plan, op->in[1], arena);
    a.out = nn_mat(plan, op->out, arena);
    return a;
}

static sdi_conv conv_args(const sdi_plan *plan, const nn_op *op, void *arena)
{
    sdi_conv a = op->u.conv;
    a.x = nn_mat(plan, op->in[0], arena);
    a.wt = nn_matrix_of(plan, op);
    a.bias = values(plan, op->param[0]);
    a.residual = mat_or_none(plan, op->in[1], arena);
    a.channel_add = mat_or_none(plan, op->in[2], arena);
    a.out = nn_mat(plan, op->out, arena);
    return a;
}

static sdi_attention attention_args(const sdi_plan *plan, const nn_op *op, void *arena)
{
    sdi_attention a = op->u.attention;
    a.q = nn_mat(plan, op->in[0], arena);
    a.k = nn_mat(plan, op->in[1], arena);
    a.v = nn_mat(plan, op->in[2], arena);
    a.out = nn_mat(plan, op->out, arena);
    return a;
}

static sdi_group_norm group_norm_args(const sdi_plan *plan, const nn_op *op, void *arena)
{
    sdi_group_norm a = op->u.group_norm;
    a.weight = values(plan, op->param[0]);
    a.bias = values(plan, op->param[1]);
    a.x = nn_mat(plan, op->in[0], arena);
    a.out = nn_mat(plan, op->out, arena);
    return a;
}

static sdi_layer_norm layer_norm_args(const sdi_plan *plan, const nn_op *op, void *arena)
{
    sdi_layer_norm a = op->u.layer_norm;
    a.weight = values(plan, op->param[0]);
    a.bias = values(plan, op->param[1]);
    a.x = nn_mat(plan, op->in[0], arena);
    a.out = nn_mat(plan, op->out, arena);
    return a;
}

static sdi_map map_args(const sdi_plan *plan, const nn_op *op, void *arena)
{
    sdi_map a = op->u.map;
    a.x = nn_mat(plan, op->in[0], arena);
    a.y = mat_or_none(plan, op->in[1], arena);
    if (op->param[0] >= 0) { // positions
        const sdi_param *p = &plan->weights->params[op->param[0]];
        a.y = (sdi_mat){.data = p->values, .ld = p->shape[1], .type = SDI_F32};
    }
    a.out = nn_mat(plan, op->out, arena);
    return a;
}

/* Scratch sizes depend on shapes, types and the presence of operands only. */
size_t nn_kernel_scratch(const sdi_plan *plan, const nn_op *op)
{
    const sdi_kernels *k = &plan->weights->kernels;
    switch (op->kind) {
    case NN_LINEAR: {
        sdi_linear a = linear_args(plan, op, NULL);
        return k->linear_scratch ? k->linear_scratch(&a, plan->workers) : 0;
    }
    case NN_CONV: {
        sdi_conv a = conv_args(plan, op, NULL);
        return k->conv_scratch ? k->conv_scratch(&a, plan->workers) : 0;
    }
    case NN_ATTENTION: {
        sdi_attention a = attention_args(plan, op, NULL);
        return k->attention_scratch ? k->attention_scratch(&a, plan->workers) : 0;
    }
    case NN_GROUP_NORM: {
        sdi_group_norm a = group_norm_args(plan, op, NULL);
        return k->group_norm_scratch ? k->group_norm_scratch(&a, plan->workers) : 0;
    }
    default: return 0;
    }
}

/* ---- operations that are not in the table ---------------------------------------------------- */

typedef struct import_job {
    const float *planes;
    float *rows;
    int64_t c, pixels, ld;
} import_job;

enum { IMPORT_PIXELS = 1024 };

static void import_piece(void *argument, int64_t index, int32_t worker)
{
    (void)worker;
    const import_job *j = argument;
    const int64_t pieces = (j->pixels + IMPORT_PIXELS - 1) / IMPORT_PIXELS;
    const int64_t image = index / pieces, first = index % pieces * IMPORT_PIXELS;
    const int64_t last = SDI_MIN(first + IMPORT_PIXELS, j->pixels);
    const float *in = j->planes + image * j->c * j->pixels;
    float *out = j->rows + image * j->pixels * j->ld;
    for (int64_t p = first; p < last; p++)
        for (int64_t c = 0; c < j->c; c++)
            out[p * j->ld + c] = in[c * j->pixels + p];
}

static void import(const sdi_plan *plan, const nn_op *op, const sdi_run *run)
{
    const sdi_node *s = &op->out->shape;
    const sdi_mat in = nn_mat(plan, op->in[0], run->arena), out = nn_mat(plan, op->out, run->arena);
    import_job job = {in.data, out.data, s->c, s->h * s->w, out.ld};
    const int64_t pieces = s->n * ((job.pixels + IMPORT_PIXELS - 1) / IMPORT_PIXELS);
    sdi_parallel_for(run->pool, pieces, import_piece, &job);
}

static void embed(const sdi_plan *plan, const nn_op *op, void *arena)
{
    const int32_t *ids = nn_mat(plan, op->in[0], arena).data;
    const sdi_mat out = nn_mat(plan, op->out, arena);
    for (int64_t r = 0; r < nn_rows(&op->out->shape); r++)
        sdi_weights_row(plan->weights, op->param[0], ids[r], (float *)out.data + r * out.ld);
}

static void timesteps(const sdi_plan *plan, const nn_op *op, void *arena)
{
    const sdi_mat in = nn_mat(plan, op->in[0], arena), out = nn_mat(plan, op->out, arena);
    const int64_t dim = op->out->shape.c, half = dim / 2;
    const float shift = op->u.timesteps.shift;
    for (int64_t r = 0; r < op->out->shape.n; r++) {
        const float t = ((const float *)in.data)[r * in.ld];
        float *row = (float *)out.data + r * out.ld;
        for (int64_t i = 0; i < half; i++) {
            /* In float32 step by step as the originals: at t = 999 the roundings reach 3e-5. */
            const float exponent = (float)-log(10000.0) * (float)i / ((float)half - shift);
            const float angle = t * (float)exp((double)exponent);
            row[op->u.timesteps.flip ? i + half : i] = (float)sin((double)angle);
            row[op->u.timesteps.flip ? i : i + half] = (float)cos((double)angle);
        }
        if (dim % 2)
            row[dim - 1] = 0;
    }
}

static void call(const sdi_plan *plan, const nn_op *op, const sdi_exec *exec, void *arena)
{
    sdi_mat data[2 + NN_INPUTS] = {0};
    data[0] = nn_mat(plan, op->out, arena);
    for (int i = 0; i < NN_INPUTS; i++)
        data[1 + i] = mat_or_none(plan, op->in[i], arena);
    if (op->param[0] >= 0) {
        const sdi_param *p = &plan->weights->params[op->param[0]];
        data[1 + NN_INPUTS] = (sdi_mat){.data = p->values, .ld = p->count, .type = SDI_F32};
    }
    op->u.call.fn(exec, op, data);
}

static void execute(sdi_plan *plan, nn_op *op, const sdi_run *run)
{
    const sdi_kernels *k = &plan->weights->kernels;
    void *arena = run->arena;
    const sdi_exec exec = {.pool = run->pool, .scratch = (char *)arena + op->scratch_offset,
                           .scratch_bytes = op->scratch};
    switch (op->kind) {
    case NN_IMPORT: import(plan, op, run); break;
    case NN_EMBED: embed(plan, op, arena); break;
    case NN_TIMESTEPS: timesteps(plan, op, arena); break;
    case NN_CALL: call(plan, op, &exec, arena); break;
    case NN_LINEAR: {
        const sdi_packed w = nn_packed_now(plan, op, &exec);
        sdi_linear a = linear_args(plan, op, arena);
        a.w = &w;
        k->linear(&exec, &a);
        break;
    }
    case NN_CONV: {
        const sdi_packed w = nn_packed_now(plan, op, &exec);
        sdi_conv a = conv_args(plan, op, arena);
        a.wt = &w;
        k->conv(&exec, &a);
        break;
    }
    case NN_ATTENTION: {
        const sdi_attention a = attention_args(plan, op, arena);
        k->attention(&exec, &a);
        break;
    }
    case NN_GROUP_NORM: {
        const sdi_group_norm a = group_norm_args(plan, op, arena);
        k->group_norm(&exec, &a);
        break;
    }
    case NN_LAYER_NORM: {
        const sdi_layer_norm a = layer_norm_args(plan, op, arena);
        k->layer_norm(&exec, &a);
        break;
    }
    case NN_MAP: {
        const sdi_map a = map_args(plan, op, arena);
        k->map(&exec, &a);
        break;
    }
    }
}

sdiff_status sdi_plan_run(const sdi_env *env, sdi_plan *plan, nn_when when, const sdi_run *run)
{
    for (int32_t i = 0; i < plan->op_count; i++) {
        nn_op *op = &plan->ops[i];
        if (op->when != when)
            continue;
        if (run->cancel && atomic_load_explicit(run->cancel, memory_order_relaxed))
            return sdi_fail(env, SDIFF_ERROR_CANCELLED, "cancelled");
        execute(plan, op, run);
        if (run->work && run->work(run->work_user, op->flops))
            return sdi_fail(env, SDIFF_ERROR_CANCELLED, "cancelled by the progress callback");
    }
    return SDIFF_OK;
}
