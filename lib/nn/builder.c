/* SPDX-License-Identifier: MIT
 *
 * The builder: names, values, parameters and the list of operations. Declare passes make values
 * too (networks read their shapes) but no operations.
 */
#include "nn/builder.h"

#include "base/memory.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

sdiff_status nn_failed(sdi_nn *n, sdiff_status status)
{
    if (n->status == SDIFF_OK)
        n->status = status;
    n->env.error = NULL; // what follows from the first failure is not told
    return n->status;
}

/* ---- names ---------------------------------------------------------------------------------- */

void nn_enter(sdi_nn *n, const char *format, ...)
{
    const size_t length = strlen(n->prefix);
    char name[NN_NAME / 2];
    va_list arguments;
    va_start(arguments, format);
    const int wanted = vsnprintf(name, sizeof name, format, arguments);
    va_end(arguments);
    if (n->depth >= NN_DEPTH || wanted < 0 || (size_t)wanted >= sizeof name ||
        length + (size_t)wanted + 2 > sizeof n->prefix) {
        nn_failed(n, sdi_fail(&n->env, SDIFF_ERROR_INTERNAL, "layer name '%s.%s' is too long",
                              n->prefix, name));
        n->depth++; // nn_leave still pairs
        return;
    }
    n->marks[n->depth++] = (int32_t)length;
    char *end = n->prefix + length;
    if (length)
        *end++ = '.';
    memcpy(end, name, (size_t)wanted + 1);
}

void nn_leave(sdi_nn *n)
{
    n->depth--;
    if (n->depth >= 0 && n->depth < NN_DEPTH)
        n->prefix[n->marks[n->depth]] = '\0';
}

void nn_full_name(sdi_nn *n, const char *name, const char *suffix, char *out)
{
    const int wanted = snprintf(out, NN_NAME, "%s%s%s%s%s", n->prefix,
                                n->prefix[0] && name[0] ? "." : "", name, suffix ? "." : "",
                                suffix ? suffix : "");
    if (wanted < 0 || wanted >= NN_NAME)
        nn_failed(n, sdi_fail(&n->env, SDIFF_ERROR_INTERNAL, "name '%s' is too long", out));
}

/* ---- values --------------------------------------------------------------------------------- */

void *nn_grow(sdi_nn *n, void *array, int32_t count, int32_t *capacity, size_t size)
{
    if (count < *capacity)
        return array;
    const int32_t wanted = *capacity ? 2 * *capacity : 32;
    void *larger = sdi_realloc(&n->env, array, (uint64_t)wanted, size);
    if (!larger) {
        nn_failed(n, SDIFF_ERROR_NO_MEMORY);
        return NULL;
    }
    *capacity = wanted;
    return larger;
}

/* Nodes never move: networks hold pointers to them. */
static nn_node *new_node(sdi_nn *n)
{
    sdi_plan *plan = n->plan;
    if (n->status != SDIFF_OK)
        return &n->nothing;
    if (plan->node_count == plan->chunk_count * NN_CHUNK) {
        int32_t capacity = plan->chunk_count;
        nn_node **chunks = sdi_realloc(&n->env, plan->chunks, (uint64_t)capacity + 1,
                                       sizeof *chunks);
        if (chunks)
            plan->chunks = chunks;
        nn_node *chunk = chunks ? sdi_zalloc(&n->env, NN_CHUNK, sizeof *chunk) : NULL;
        if (!chunk) {
            nn_failed(n, SDIFF_ERROR_NO_MEMORY);
            return &n->nothing;
        }
        plan->chunks[plan->chunk_count++] = chunk;
    }
    nn_node *node = &plan->chunks[plan->node_count / NN_CHUNK][plan->node_count % NN_CHUNK];
    node->shape.id = plan->node_count++;
    return node;
}

enum { MAX_SIDE = 1 << 24 };
static const int64_t max_elements = (int64_t)1 << 40;

static int shape_is_sane(sdi_nn *n, int64_t count, int64_t h, int64_t w, int64_t c)
{
    const int64_t sides[] = {count, h, w, c};
    int64_t product = 1;
    for (int i = 0; i < 4; i++) {
        if (sides[i] < 1 || sides[i] > MAX_SIDE || product > max_elements / sides[i]) {
            nn_failed(n, sdi_fail(&n->env, SDIFF_ERROR_LIMIT,
                                  "a tensor of shape [%lld, %lld, %lld, %lld] at '%s' is not "
                                  "possible",
                                  (long long)count, (long long)h, (long long)w, (long long)c,
                                  n->prefix));
            return 0;
        }
        product *= sides[i];
    }
    return 1;
}

nn_node *nn_new_value(sdi_nn *n, int64_t count, int64_t h, int64_t w, int64_t c, sdi_dtype type)
{
    if (n->status != SDIFF_OK || !shape_is_sane(n, count, h, w, c))
        return &n->nothing;
    sdi_plan *plan = n->plan;
    nn_buffer *buffers = nn_grow(n, plan->buffers, plan->buffer_count, &plan->buffer_capacity,
                                 sizeof *plan->buffers);
    if (!buffers)
        return &n->nothing;
    plan->buffers = buffers;
    nn_node *node = new_node(n);
    if (node == &n->nothing)
        return node;
    const int64_t multiple = SDI_MAX(n->weights->kernels.row_multiple, 1);
    nn_buffer b = {.rows = count * h * w, .type = type, .first = -1, .last = -1};
    b.ld = (c + multiple - 1) / multiple * multiple;
    b.bytes = (uint64_t)b.rows * (uint64_t)b.ld * sdi_dtype_size(type);
    node->shape.n = count;
    node->shape.h = h;
    node->shape.w = w;
    node->shape.c = c;
    node->buffer = plan->buffer_count;
    plan->buffers[plan->buffer_count++] = b;
    return node;
}

nn_node *nn_new_view(sdi_nn *n, nn_tensor x, int64_t count, int64_t h, int64_t w, int64_t c,
                     int64_t column)
{
    nn_node *node = new_node(n);
    if (node == &n->nothing)
        return node;
    node->shape.n = count;
    node->shape.h = h;
    node->shape.w = w;
    node->shape.c = c;
    node->buffer = nn_node_of(x)->buffer;
    node->column = nn_node_of(x)->column + column;
    return node;
}

/* ---- parameters ------------------------------------------------------------------------------ */

int32_t nn_param(sdi_nn *n, const char *name, const char *suffix, sdi_role role, int32_t rank,
                 const int64_t *shape)
{
    char full[NN_NAME];
    if (n->status != SDIFF_OK)
        return -1;
    nn_full_name(n, name, suffix, full);
    if (n->declaring) {
        const int32_t added = sdi_weights_add(&n->env, n->weights, full, role, rank, shape);
        if (added < 0)
            nn_failed(n, n->env.error ? n->env.error->status : SDIFF_ERROR_NO_MEMORY);
        return added;
    }
    const int32_t found = sdi_weights_find(n->weights, full);
    const sdi_param *p = found >= 0 ? &n->weights->params[found] : NULL;
    int same = p && p->rank == rank && p->role == role;
    for (int32_t i = 0; same && i < rank; i++)
        same = p->shape[i] == shape[i];
    if (!same)
        nn_failed(n, sdi_fail(&n->env, SDIFF_ERROR_INTERNAL,
                              "parameter '%s' was not declared in this form", full));
    return same ? found : -1;
}

/* ---- operations ------------------------------------------------------------------------------ */

static nn_when when_of(const sdi_plan *plan, const nn_op *op)
{
    for (int i = 0; i < NN_INPUTS; i++)
        if (op->in[i] && plan->buffers[op->in[i]->buffer].when == NN_EACH)
            return NN_EACH;
    return NN_ONCE;
}

static void use_inputs(sdi_plan *plan, const nn_op *op, int32_t index)
{
    for (int i = 0; i < NN_INPUTS; i++) {
        if (!op->in[i])
            continue;
        nn_buffer *b = &plan->buffers[op->in[i]->buffer];
        b->last = SDI_MAX(b->last, index);
        if (b->when == NN_ONCE && op->when == NN_EACH)
            b->own = 1;
    }
}

nn_tensor nn_append(sdi_nn *n, const char *name, nn_op op)
{
    if (n->status != SDIFF_OK)
        return &n->nothing.shape;
    sdi_plan *plan = n->plan;
    if (n->declaring)
        return &op.out->shape;
    nn_op *ops = nn_grow(n, plan->ops, plan->op_count, &plan->op_capacity, sizeof *plan->ops);
    if (!ops)
        return &n->nothing.shape;
    plan->ops = ops;
    char full[NN_NAME];
    nn_full_name(n, name, NULL, full);
    op.label = sdi_strdup(&n->env, full);
    if (!op.label)
        nn_failed(n, SDIFF_ERROR_NO_MEMORY);
    nn_buffer *b = &plan->buffers[op.out->buffer];
    op.when = when_of(plan, &op);
    if (b->first < 0) {
        b->first = plan->op_count;
        b->when = op.when;
    } else if (op.when != b->when) { // a second operation fills other columns (concatenation)
        b->when = NN_EACH;
        b->own = 1;
    }
    b->last = SDI_MAX(b->last, plan->op_count);
    use_inputs(plan, &op, plan->op_count);
    nn_op_scratch(plan, &op);
    plan->flops[op.when] += op.flops;
    plan->ops[plan->op_count++] = op;
    return &op.out->shape;
}

nn_op nn_call(nn_call_fn fn, nn_tensor x, nn_tensor y, const nn_node *out)
{
    nn_op op = {.kind = NN_CALL, .weight = -1, .param = {-1, -1}, .out = out};
    op.in[0] = x ? nn_node_of(x) : NULL;
    op.in[1] = y ? nn_node_of(y) : NULL;
    op.u.call.fn = fn;
    return op;
}

int nn_is_planning(const sdi_nn *n)
{
    return !n->declaring;
}
