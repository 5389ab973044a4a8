/* SPDX-License-Identifier: MIT
 *
 * The two passes over a network function, and what a finished plan tells.
 */
#include "nn/builder.h"

#include "base/memory.h"

#include <stdio.h>
#include <string.h>

static sdi_plan *new_plan(const sdi_env *env, const sdi_weights *weights, int32_t workers)
{
    sdi_plan *plan = sdi_zalloc(env, 1, sizeof *plan);
    if (!plan)
        return NULL;
    plan->env = *env;
    plan->weights = weights;
    plan->workers = workers;
    return plan;
}

static void free_borders(const sdi_env *env, nn_border *list, int32_t count)
{
    for (int32_t i = 0; i < count; i++)
        sdi_free(env, list[i].name);
    sdi_free(env, list);
}

void sdi_plan_free(const sdi_env *env, sdi_plan *plan)
{
    if (!plan)
        return;
    for (int32_t i = 0; i < plan->chunk_count; i++)
        sdi_free(env, plan->chunks[i]);
    for (int32_t i = 0; i < plan->op_count; i++)
        sdi_free(env, plan->ops[i].label);
    free_borders(env, plan->inputs, plan->input_count);
    free_borders(env, plan->outputs, plan->output_count);
    sdi_free(env, plan->chunks);
    sdi_free(env, plan->buffers);
    sdi_free(env, plan->ops);
    sdi_free(env, plan->own);
    sdi_free(env, plan);
}

static sdiff_status build(const sdi_env *env, sdi_plan *plan, sdi_weights *weights, int declaring,
                          sdi_network_fn network, const void *arguments)
{
    sdi_nn *n = sdi_zalloc(env, 1, sizeof *n);
    if (!n)
        return SDIFF_ERROR_NO_MEMORY;
    n->env = *env;
    n->plan = plan;
    n->weights = weights;
    n->declaring = declaring;
    n->nothing.shape = (sdi_node){.id = -1, .n = 1, .h = 1, .w = 1, .c = 1};
    network(n, arguments);
    const sdiff_status status = n->status;
    sdi_free(env, n);
    return status;
}

sdiff_status sdi_nn_declare(const sdi_env *env, sdi_weights *weights, sdi_network_fn network,
                            const void *arguments)
{
    sdi_plan *shapes = new_plan(env, weights, 1);
    if (!shapes)
        return SDIFF_ERROR_NO_MEMORY;
    const sdiff_status status = build(env, shapes, weights, 1, network, arguments);
    sdi_plan_free(env, shapes);
    return status;
}

sdiff_status sdi_plan_new(const sdi_env *env, sdi_weights *weights, sdi_network_fn network,
                          const void *arguments, int32_t workers, sdi_plan **out)
{
    *out = NULL;
    sdi_plan *plan = new_plan(env, weights, workers);
    if (!plan)
        return SDIFF_ERROR_NO_MEMORY;
    sdiff_status status = build(env, plan, weights, 0, network, arguments);
    if (status == SDIFF_OK)
        status = nn_lay_out(env, plan);
    if (status == SDIFF_OK) {
        plan->own = sdi_zalloc(env, plan->own_bytes, 1);
        if (!plan->own)
            status = SDIFF_ERROR_NO_MEMORY;
    }
    if (status != SDIFF_OK) {
        sdi_plan_free(env, plan);
        return status;
    }
    *out = plan;
    return SDIFF_OK;
}

uint64_t sdi_plan_arena_bytes(const sdi_plan *plan)
{
    return plan->arena_bytes;
}

/* Each block with the allocator's header. */
uint64_t sdi_plan_bytes(const sdi_plan *plan)
{
    enum { HEADER = 64 };
    uint64_t sum = sizeof *plan + plan->own_bytes;
    sum += (uint64_t)plan->chunk_count * (NN_CHUNK * sizeof(nn_node) + sizeof(nn_node *) + HEADER);
    sum += (uint64_t)plan->buffer_capacity * sizeof *plan->buffers;
    sum += (uint64_t)plan->op_capacity * sizeof *plan->ops;
    sum += (uint64_t)(plan->input_capacity + plan->output_capacity) * sizeof(nn_border);
    for (int32_t i = 0; i < plan->op_count; i++)
        sum += strlen(plan->ops[i].label) + 1 + HEADER;
    for (int32_t i = 0; i < plan->input_count; i++)
        sum += strlen(plan->inputs[i].name) + 1 + HEADER;
    for (int32_t i = 0; i < plan->output_count; i++)
        sum += strlen(plan->outputs[i].name) + 1 + HEADER;
    return sum + 7 * HEADER;
}

double sdi_plan_flops(const sdi_plan *plan, nn_when when)
{
    return plan->flops[when];
}
