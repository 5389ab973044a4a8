/* SPDX-License-Identifier: MIT
 *
 * Matrices that stay in their file (sdi_weights.streamed) and are packed when an operation needs
 * them: behind its scratch, or in a cache that keeps as many as fit from run to run. Which are kept
 * does not change which bits come out.
 */
#include "base/clock.h"
#include "nn/builder.h"

enum { PACK_ALIGN = 64 };

static uint64_t aligned(uint64_t bytes)
{
    return (bytes + PACK_ALIGN - 1) / PACK_ALIGN * PACK_ALIGN;
}

void nn_op_scratch(const sdi_plan *plan, nn_op *op)
{
    op->cache_offset = NN_NOT_CACHED;
    op->scratch = nn_kernel_scratch(plan, op);
    if (op->weight < 0 || nn_matrix_of(plan, op)->data || !plan->weights->streamed)
        return;
    op->pack_bytes = plan->weights->kernels.pack_bytes(nn_matrix_of(plan, op));
}

sdi_packed nn_packed_now(sdi_plan *plan, nn_op *op, const sdi_exec *exec)
{
    sdi_packed packed = *nn_matrix_of(plan, op);
    if (!op->pack_bytes || packed.data)
        return packed;
    if (op->cache_offset == NN_NOT_CACHED)
        packed.data = (char *)exec->scratch + aligned(op->scratch);
    else
        packed.data = plan->cache + op->cache_offset;
    if (op->cached)
        return packed;
    const double start = sdi_clock_seconds();
    sdi_weights_pack(exec, plan->weights, op->weight, &packed);
    plan->pack_seconds += sdi_clock_seconds() - start;
    op->cached = op->cache_offset != NN_NOT_CACHED;
    return packed;
}

/* ---- the cache ------------------------------------------------------------------------------- */

uint64_t sdi_plan_streamed_bytes(const sdi_plan *plan)
{
    uint64_t sum = 0;
    for (int32_t i = 0; i < plan->op_count; i++)
        sum += aligned(plan->ops[i].pack_bytes);
    return sum;
}

double sdi_plan_pack_seconds(const sdi_plan *plan)
{
    return plan->pack_seconds;
}

void sdi_plan_set_cache(sdi_plan *plan, void *memory, uint64_t bytes)
{
    plan->cache = memory;
    bytes = bytes / PACK_ALIGN * PACK_ALIGN;
    for (int32_t i = 0; i < plan->op_count; i++) {
        nn_op *op = &plan->ops[i];
        op->cached = 0;
        op->cache_offset = NN_NOT_CACHED;
        if (!op->pack_bytes || aligned(op->pack_bytes) > bytes)
            continue;
        bytes -= aligned(op->pack_bytes); // from the end, which the fewest overwrite
        op->cache_offset = bytes;
    }
}

void sdi_plan_spoil_cache(sdi_plan *plan, uint64_t bytes)
{
    for (int32_t i = 0; i < plan->op_count; i++)
        if (plan->ops[i].cache_offset < bytes)
            plan->ops[i].cached = 0;
}
