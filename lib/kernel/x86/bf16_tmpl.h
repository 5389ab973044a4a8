/* SPDX-License-Identifier: MIT
 *
 * What the bf16 products do beside multiplying, in the words of vec_<isa>.h: rounding of
 * activations into strips, sums of taps, and the finish of a tile. Included by bf16_<isa>.c and
 * amx.c.
 */
#include "kernel/x86/bf16.h"
#include "kernel/x86/doubled.h"
#include "kernel/x86/elements.h"
#include "kernel/x86/vmath.h"

/* 32 numbers rounded, or what rounding takes from them. */
static inline void fill_block(uint16_t *out, const void *in, sdi_dtype type, int rest)
{
    for (int i = 0; i < BF16_STEP; i += VEC) {
        const vec x = type == SDI_F32 ? vec_loadu((const float *)in + i)
                                      : vec_load_f16((const uint16_t *)in + i);
        vec_store_bf16(out + i, x);
        if (rest)
            vec_store_bf16(out + i, vec_sub(x, vec_load_bf16(out + i)));
    }
}

static void fill_part(uint16_t *out, const void *in, sdi_dtype type, int64_t count, int rest)
{
    if (type == SDI_BF16) {
        vec_copy_32(out, in, count);
        return;
    }
    float wide[BF16_STEP] = {0};
    elements_widen(wide, in, type, count);
    fill_block(out, wide, SDI_F32, rest);
}

static inline void fill(uint16_t *out, int64_t stride, const void *in, sdi_dtype type, int64_t k,
                        int rest)
{
    const size_t size = type == SDI_F32 ? 4 : 2;
    if (rest && type == SDI_BF16)
        in = NULL; // nothing is left
    for (int64_t c = 0; c < k; c += BF16_STEP, out += stride) {
        const char *from = in ? (const char *)in + (size_t)c * size : NULL;
        if (!from)
            memset(out, 0, BF16_STEP * sizeof *out);
        else if (c + BF16_STEP > k)
            fill_part(out, from, type, k - c, rest);
        else if (type == SDI_BF16)
            memcpy(out, from, BF16_STEP * sizeof *out);
        else
            fill_block(out, from, type, rest);
    }
}

static void fill_row(uint16_t *out, int64_t stride, const void *in, sdi_dtype type, int64_t k)
{
    fill(out, stride, in, type, k, 0);
}

static void fill_rest(uint16_t *out, int64_t stride, const void *in, sdi_dtype type, int64_t k)
{
    fill(out, stride, in, type, k, 1);
}

/* One lane's parts: a number, and what rounding takes from it. */
static inline vec join_parts(const uint16_t *at, int64_t low)
{
    const vec high = vec_load_bf16(at);
    return low ? vec_add(high, vec_load_bf16(at + low)) : high;
}

static inline void split_parts(uint16_t *at, int64_t low, vec x)
{
    vec_store_bf16(at, x);
    if (low)
        vec_store_bf16(at + low, vec_sub(x, vec_load_bf16(at)));
}

static void double_step(const bf16_doubling *d, const uint16_t *in, uint16_t *out)
{
    for (int i = 0; i < BF16_STEP_SIZE; i += VEC) {
        vec nine[3][3], taps[4][4];
        for (int tap = 0; tap < 9; tap++)
            nine[tap / 3][tap % 3] = join_parts(in + tap * BF16_STEP_SIZE + i, d->low_in);
        doubled_taps(nine, taps);
        for (int phase = 0; phase < 4; phase++)
            for (int tap = 0; tap < 4; tap++)
                split_parts(out + phase * d->phase + tap * BF16_STEP_SIZE + i, d->low_out,
                            taps[phase][tap]);
    }
}

static inline vec finish_load(const char *from, sdi_dtype type, int64_t count)
{
    if (type == SDI_F32)
        return vec_load((const float *)(const void *)from, count);
    uint16_t part[VEC] = {0};
    const uint16_t *half = (const uint16_t *)(const void *)from;
    if (count < VEC)
        half = memcpy(part, from, (size_t)count * sizeof *part);
    return type == SDI_F16 ? vec_load_f16(half) : vec_load_bf16(half);
}

static inline void finish_store(char *to, sdi_dtype type, vec x, int64_t count)
{
    if (type == SDI_F32) {
        vec_store((float *)(void *)to, x, count);
        return;
    }
    uint16_t part[VEC], *half = (uint16_t *)(void *)to;
    if (count < VEC)
        half = part;
    if (type == SDI_F16)
        vec_store_f16(half, x);
    else
        vec_store_bf16(half, x);
    if (count < VEC)
        memcpy(to, part, (size_t)count * sizeof *part);
}

/* The VEC lanes from c on, activated. */
static inline vec finish_lanes(const bf16_rows *f, const float *c, const float *bias)
{
    const vec x = vec_add(vec_loadu(c), vec_loadu(bias));
    if (f->act != SDI_ACT_GEGLU)
        return vec_activate(f->act, x);
    const vec gate = vec_add(vec_loadu(c + 16), vec_loadu(bias + 16));
    return vec_mul(x, vec_gelu(gate));
}

static inline void finish_row(const bf16_rows *f, const bf16_part *part, int32_t r)
{
    char *to = elements_at(f->out, part->row + r, f->column);
    const char *more =
        f->residual->data ? elements_at(f->residual, part->row + r, f->column) : NULL;
    const size_t size = f->out->type == SDI_F32 ? 4 : 2;
    const size_t more_size = f->residual->type == SDI_F32 ? 4 : 2;
    for (int32_t lane = 0; lane < f->columns; lane += VEC) {
        const int64_t count = f->columns - lane;
        vec x = finish_lanes(f, part->c + r * BF16_LANES + lane, f->bias + lane);
        if (part->add)
            x = vec_add(x, vec_load(part->add + lane, count));
        if (more)
            x = vec_add(x, finish_load(more + (size_t)lane * more_size, f->residual->type, count));
        finish_store(to + (size_t)lane * size, f->out->type, x, count);
    }
}

static inline void next_row(const bf16_rows *f, bf16_cursor *at)
{
    if (++at->row == f->parts[at->part].rows)
        *at = (bf16_cursor){at->part + 1, 0};
}

static void finish(bf16_rows *f, int32_t count)
{
    count = SDI_MIN(count, f->left);
    for (int32_t i = 0; i < count; i++, next_row(f, &f->finished))
        finish_row(f, &f->parts[f->finished.part], f->finished.row);
    f->left -= count;
}

/* Residuals of the next `count` rows, so that finishing them need not wait for memory. */
static inline void fetch(bf16_rows *f, int32_t count)
{
    const size_t size = f->residual->type == SDI_F32 ? 4 : 2;
    for (int32_t i = 0; i < count && f->fetched.part < f->count; i++) {
        const bf16_part *part = &f->parts[f->fetched.part];
        const char *at = elements_at(f->residual, part->row + f->fetched.row, f->column);
        __builtin_prefetch(at, 0, 3);
        __builtin_prefetch(at + (size_t)(f->columns - 1) * size, 0, 3);
        next_row(f, &f->fetched);
    }
}

/* What all sets do in the same way. */
#define BF16_COMMON                                                                                \
    .tile = tile, .finish = finish, .fill_row = fill_row, .fill_rest = fill_rest,                  \
    .double_step = double_step

static inline void nothing(void)
{
}

/* A set that multiplies in vector registers. */
#define BF16_VECTOR_ISA(parts_)                                                                    \
    {                                                                                              \
        BF16_COMMON, .enter = nothing, .leave = nothing, .linear_range = 96 << 10,                 \
        .conv_range = 96 << 10, .waiting_panels = 4, .waiting_pieces = 128, .doubled_pixels = 64,  \
        .rows = 8, .parts = parts_                                                                 \
    }
