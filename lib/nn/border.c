/* SPDX-License-Identifier: MIT
 *
 * Inputs and outputs of plans: float32 NCHW or tokens outside, rows inside.
 */
#include "nn/builder.h"

#include "base/memory.h"

#include <stdio.h>
#include <string.h>

static void add_border(sdi_nn *n, nn_border **list, int32_t *count, int32_t *capacity,
                       const char *name, nn_border border)
{
    if (n->status != SDIFF_OK)
        return;
    nn_border *grown = nn_grow(n, *list, *count, capacity, sizeof *grown);
    if (!grown)
        return;
    *list = grown;
    border.name = sdi_strdup(&n->env, name);
    if (!border.name)
        nn_failed(n, SDIFF_ERROR_NO_MEMORY);
    else
        grown[(*count)++] = border;
}

static nn_node *add_input(sdi_nn *n, const char *name, nn_node *node, nn_when when,
                          nn_border border)
{
    sdi_plan *plan = n->plan;
    if (n->status != SDIFF_OK)
        return node;
    nn_buffer *b = &plan->buffers[node->buffer];
    b->when = when;
    b->own = 1; // set by the host at any time before a run
    if (!border.is_map) // read as [b, t, d] without a pitch
        b->ld = node->shape.c;
    b->bytes = (uint64_t)b->rows * (uint64_t)b->ld * sdi_dtype_size(b->type);
    border.node = node;
    add_border(n, &plan->inputs, &plan->input_count, &plan->input_capacity, name, border);
    return node;
}

nn_tensor nn_input_map(sdi_nn *n, const char *name, int64_t count, int64_t c, int64_t h, int64_t w,
                       nn_when when)
{
    /* The NCHW numbers as they are given: rows are planes. */
    nn_node *planes = nn_new_value(n, count, 1, c, h * w, SDI_F32);
    const nn_border border = {.shape = {count, c, h, w}, .rank = 4, .is_map = 1};
    if (n->status == SDIFF_OK)
        n->plan->buffers[planes->buffer].ld = h * w;
    add_input(n, name, planes, when, border);
    nn_op op = {.kind = NN_IMPORT, .weight = -1, .param = {-1, -1}, .in = {planes}};
    op.out = nn_new_value(n, count, h, w, c, SDI_F32);
    return nn_append(n, name, op);
}

nn_tensor nn_input_tokens(sdi_nn *n, const char *name, int64_t b, int64_t t, int64_t d,
                          nn_when when)
{
    const nn_border border = {.shape = {b, t, d}, .rank = 3};
    return &add_input(n, name, nn_new_value(n, b, 1, t, d, SDI_F32), when, border)->shape;
}

nn_tensor nn_input_ids(sdi_nn *n, const char *name, int64_t b, int64_t t, nn_when when)
{
    const nn_border border = {.shape = {b, t}, .rank = 2, .is_ids = 1};
    return &add_input(n, name, nn_new_value(n, b, 1, t, 1, SDI_I32), when, border)->shape;
}

static void add_output(sdi_nn *n, const char *name, nn_tensor x, int is_map)
{
    if (n->status != SDIFF_OK)
        return;
    const nn_border border = {.node = nn_node_of(x), .is_map = is_map};
    nn_buffer *b = &n->plan->buffers[border.node->buffer];
    b->is_output = 1;
    add_border(n, &n->plan->outputs, &n->plan->output_count, &n->plan->output_capacity, name,
               border);
}

void nn_output_map(sdi_nn *n, const char *name, nn_tensor x)
{
    add_output(n, name, x, 1);
}

void nn_output_tokens(sdi_nn *n, const char *name, nn_tensor x)
{
    add_output(n, name, x, 0);
}

static const nn_border *find(const nn_border *list, int32_t count, const char *name)
{
    for (int32_t i = 0; i < count; i++)
        if (strcmp(list[i].name, name) == 0)
            return &list[i];
    return NULL;
}

int sdi_plan_has_input(const sdi_plan *plan, const char *name)
{
    return find(plan->inputs, plan->input_count, name) != NULL;
}

int32_t sdi_plan_input(const sdi_plan *plan, const char *name, int64_t shape[4])
{
    const nn_border *input = find(plan->inputs, plan->input_count, name);
    if (!input)
        return 0;
    memcpy(shape, input->shape, sizeof input->shape);
    return input->rank;
}

/* An id outside of its table would read foreign memory. */
static sdiff_status check_ids(const sdi_env *env, const sdi_plan *plan, const nn_border *input,
                              const int32_t *ids)
{
    for (int32_t i = 0; i < plan->op_count; i++) {
        const nn_op *op = &plan->ops[i];
        if (op->kind != NN_EMBED || op->in[0] != input->node)
            continue;
        const int64_t vocab = plan->weights->params[op->param[0]].shape[0];
        for (int64_t k = 0; k < nn_rows(&input->node->shape); k++)
            if (ids[k] < 0 || ids[k] >= vocab)
                return sdi_fail(env, SDIFF_ERROR_INVALID_ARGUMENT,
                                "id %d of '%s' is outside of the table '%s' of %lld rows", ids[k],
                                input->name, op->label, (long long)vocab);
    }
    return SDIFF_OK;
}

sdiff_status sdi_plan_set(const sdi_env *env, sdi_plan *plan, const char *name, const void *values)
{
    const nn_border *input = find(plan->inputs, plan->input_count, name);
    if (!input)
        return sdi_fail(env, SDIFF_ERROR_INTERNAL, "the network has no input '%s'", name);
    if (input->is_ids)
        SDI_TRY(check_ids(env, plan, input, values));
    const nn_buffer *b = &plan->buffers[input->node->buffer];
    memcpy(nn_mat(plan, input->node, NULL).data, values, (size_t)b->bytes);
    return SDIFF_OK;
}

const char *sdi_plan_output(const sdi_plan *plan, int32_t index, int64_t shape[4], int32_t *rank)
{
    if (index < 0 || index >= plan->output_count)
        return NULL;
    const nn_border *o = &plan->outputs[index];
    const sdi_node *s = &o->node->shape;
    const int64_t map_shape[4] = {s->n, s->c, s->h, s->w};
    const int64_t token_shape[4] = {s->n, s->h * s->w, s->c, 1};
    memcpy(shape, o->is_map ? map_shape : token_shape, sizeof map_shape);
    *rank = o->is_map ? 4 : 3;
    return o->name;
}

/* [n, h, w, c] rows -> NCHW */
static void export_map(const sdi_node *s, sdi_mat m, float *out)
{
    const int64_t pixels = s->h * s->w;
    const size_t size = sdi_dtype_size(m.type);
    for (int64_t i = 0; i < s->n; i++)
        for (int64_t p = 0; p < pixels; p++) {
            const char *row = (const char *)m.data + (size_t)((i * pixels + p) * m.ld) * size;
            for (int64_t c = 0; c < s->c; c++)
                sdi_convert_to_f32(&out[(i * s->c + c) * pixels + p], row + (size_t)c * size,
                                   m.type, 1);
        }
}

sdiff_status sdi_plan_get(const sdi_env *env, const sdi_plan *plan, const char *name,
                          const sdi_run *run, float *out)
{
    const nn_border *o = find(plan->outputs, plan->output_count, name);
    if (!o)
        return sdi_fail(env, SDIFF_ERROR_INTERNAL, "the network has no output '%s'", name);
    const sdi_node *s = &o->node->shape;
    const sdi_mat m = nn_mat(plan, o->node, run->arena);
    if (o->is_map) {
        export_map(s, m, out);
        return SDIFF_OK;
    }
    for (int64_t r = 0; r < nn_rows(s); r++)
        plan->weights->kernels.convert_to_f32(
            out + r * s->c, (const char *)m.data + (size_t)(r * m.ld) * sdi_dtype_size(m.type),
            m.type, (size_t)s->c);
    return SDIFF_OK;
}
