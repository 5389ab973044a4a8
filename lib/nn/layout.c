/* SPDX-License-Identifier: MIT
 *
 * Where the values of a plan lie: each buffer lives from the operation that writes it to the last
 * that reads it, and buffers whose lives do not overlap share memory. They are placed one after the
 * other, each at the lowest offset that is free during its life: largest first, then in orders in
 * which the one that stood out at the top goes first, until the extent is as small as the values
 * alive at one time, or some rounds have passed.
 */
#include "nn/builder.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

enum { ALIGN = 64, ROUNDS = 24 };

typedef struct block {
    uint64_t size, offset;
    int32_t first, last;
    int32_t turn; // lower ones are placed earlier
    uint64_t *result;
} block;

static int larger_first(const void *a, const void *b)
{
    const block *x = a, *y = b;
    if (x->turn != y->turn)
        return x->turn < y->turn ? -1 : 1;
    if (x->size != y->size)
        return x->size > y->size ? -1 : 1;
    return x->first != y->first ? (x->first < y->first ? -1 : 1) : 0;
}

static int lower_first(const void *a, const void *b)
{
    const block *x = *(block *const *)a, *y = *(block *const *)b;
    return x->offset != y->offset ? (x->offset < y->offset ? -1 : 1) : 0;
}

/* Offsets for blocks; `busy` has room for count pointers. Returns the extent. */
static uint64_t place(block *blocks, int32_t count, block **busy)
{
    uint64_t extent = 0;
    if (count)
        qsort(blocks, (size_t)count, sizeof *blocks, larger_first);
    for (int32_t i = 0; i < count; i++) {
        int32_t n = 0;
        for (int32_t k = 0; k < i; k++)
            if (blocks[k].first <= blocks[i].last && blocks[i].first <= blocks[k].last)
                busy[n++] = &blocks[k];
        if (n)
            qsort(busy, (size_t)n, sizeof *busy, lower_first);
        uint64_t offset = 0;
        for (int32_t k = 0; k < n && busy[k]->offset < offset + blocks[i].size; k++)
            offset = SDI_MAX(offset, busy[k]->offset + busy[k]->size);
        blocks[i].offset = offset;
        extent = SDI_MAX(extent, offset + blocks[i].size);
    }
    return extent;
}

/* What is alive during the operation that needs most: no placement takes less. */
static uint64_t most_alive(const block *blocks, int32_t count)
{
    uint64_t most = 0;
    for (int32_t i = 0; i < count; i++) {
        uint64_t alive = 0; // when block i is written
        for (int32_t k = 0; k < count; k++)
            if (blocks[k].first <= blocks[i].first && blocks[i].first <= blocks[k].last)
                alive += blocks[k].size;
        most = SDI_MAX(most, alive);
    }
    return most;
}

/* The best of some orders goes to the results. Returns its extent. */
static uint64_t place_well(block *blocks, int32_t count, block **busy)
{
    const uint64_t least = most_alive(blocks, count);
    uint64_t best = UINT64_MAX;
    for (int32_t round = 0; round < ROUNDS && best > least; round++) {
        const uint64_t extent = place(blocks, count, busy);
        int32_t top = 0;
        for (int32_t i = 0; i < count; i++) {
            if (extent < best)
                *blocks[i].result = blocks[i].offset;
            if (blocks[i].offset + blocks[i].size == extent)
                top = i;
        }
        best = SDI_MIN(best, extent);
        if (count)
            blocks[top].turn = -round - 1;
    }
    return best;
}

static uint64_t aligned(uint64_t bytes)
{
    return (bytes + ALIGN - 1) / ALIGN * ALIGN;
}

/* The arena of one kind of run: its buffers and the scratch of its operations. */
static sdiff_status lay_out_runs(const sdi_env *env, sdi_plan *plan, nn_when when)
{
    const uint64_t room = (uint64_t)plan->buffer_count + (uint64_t)plan->op_count;
    block *blocks = sdi_alloc(env, room, sizeof *blocks);
    block **busy = sdi_alloc(env, room, sizeof *busy);
    int32_t count = 0;
    if (blocks && busy) {
        for (int32_t i = 0; i < plan->buffer_count; i++) {
            nn_buffer *b = &plan->buffers[i];
            if (b->own || b->when != when || b->first < 0)
                continue;
            blocks[count++] = (block){.size = aligned(b->bytes), .first = b->first,
                                      .last = b->is_output ? INT32_MAX : b->last,
                                      .result = &b->offset};
        }
        for (int32_t i = 0; i < plan->op_count; i++) {
            nn_op *op = &plan->ops[i];
            const uint64_t scratch = aligned(op->scratch) + aligned(op->pack_bytes);
            if (op->when == when && scratch)
                blocks[count++] = (block){.size = scratch, .first = i, .last = i,
                                          .result = &op->scratch_offset};
        }
        plan->arena_bytes = SDI_MAX(plan->arena_bytes, place_well(blocks, count, busy));
    }
    const int ok = blocks && busy;
    sdi_free(env, blocks);
    sdi_free(env, busy);
    return ok ? SDIFF_OK : SDIFF_ERROR_NO_MEMORY;
}

sdiff_status nn_lay_out(const sdi_env *env, sdi_plan *plan)
{
    /* Outputs of NN_ONCE operations are read after NN_EACH runs too. */
    int has_each = 0;
    for (int32_t i = 0; i < plan->op_count; i++)
        has_each |= plan->ops[i].when == NN_EACH;
    for (int32_t i = 0; i < plan->buffer_count; i++) {
        nn_buffer *b = &plan->buffers[i];
        if (b->is_output && b->when == NN_ONCE && has_each)
            b->own = 1;
        if (!b->own)
            continue;
        b->offset = plan->own_bytes;
        plan->own_bytes += aligned(b->bytes);
    }
    SDI_TRY(lay_out_runs(env, plan, NN_ONCE));
    return lay_out_runs(env, plan, NN_EACH);
}
