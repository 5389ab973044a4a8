/* SPDX-License-Identifier: MIT
 *
 * Weights into the panels of bf16.h and back. A panel (of split weights: each of its parts) is
 * filled one block of 32 channels after the other: what all 32 lanes write then stays in the
 * first-level cache.
 */
#include "kernel/parallel.h"
#include "kernel/x86/bf16.h"

enum { STRETCH = 2048 }; // elements of a row that are rounded at once, 32 channels of 64 taps

typedef struct job {
    sdi_packed *w;
    int64_t row0, rows;
    const char *source;
    sdi_dtype type;
    int32_t parts;
} job;

/* Where element (channel, tap) of a lane lies in its panel. */
static inline int64_t place_of(const sdi_packed *w, int64_t channel, int64_t tap, int64_t lane)
{
    const int64_t step = channel / BF16_STEP * w->kh * w->kw + tap;
    const int64_t pair = channel % BF16_STEP / 2, half = lane / 16;
    return step * BF16_STEP_SIZE + half * 512 + pair * 32 + lane % 16 * 2 + channel % 2;
}

static size_t pack_bytes(const sdi_packed *w, int32_t parts)
{
    return (size_t)(bf16_panels(w) * bf16_panel_size(w) * parts) * sizeof(uint16_t);
}

/* Writes whole blocks of 32, zeros behind the last. */
static void to_bf16(uint16_t *out, const void *in, sdi_dtype type, int64_t count, bf16_fill fill)
{
    float wide[STRETCH];
    if (type != SDI_F32 && type != SDI_F16 && type != SDI_BF16) {
        sdi_convert_to_f32(wide, in, type, (size_t)count);
        in = wide;
        type = SDI_F32;
    }
    fill(out, BF16_STEP, in, type, count);
}

/* Channels c0 .. c0 + 31 of one row [k][taps] (NULL: zeros) to a lane of these steps. */
static void pack_lane(const job *j, const char *row, int64_t c0, uint16_t *steps, int64_t lane,
                      bf16_fill fill)
{
    const int64_t taps = (int64_t)j->w->kh * j->w->kw;
    const int64_t count = row ? SDI_MIN(BF16_STEP, j->w->k - c0) * taps : 0;
    uint16_t narrow[STRETCH];
    if (row)
        to_bf16(narrow, row + (size_t)(c0 * taps) * sdi_dtype_size(j->type), j->type, count,
                fill);
    memset(narrow + count, 0, (size_t)(BF16_STEP * taps - count) * sizeof *narrow);
    uint16_t *to = steps + lane / 16 * 512 + lane % 16 * 2;
    for (int64_t tap = 0; tap < taps; tap++, to += BF16_STEP_SIZE) {
        const uint16_t *from = narrow + tap;
        for (int64_t pair = 0; pair < BF16_STEP / 2; pair++, from += 2 * taps) {
            const uint16_t two[2] = {from[0], from[taps]};
            memcpy(to + pair * 32, two, sizeof two);
        }
    }
}

/* The same for kernels of more taps than fit. */
static void pack_lane_large(const job *j, const char *row, int64_t c0, uint16_t *steps,
                            int64_t lane, bf16_fill fill)
{
    const int64_t taps = (int64_t)j->w->kh * j->w->kw;
    for (int64_t i = 0; i < BF16_STEP * taps; i++) {
        const int64_t channel = i / taps;
        uint16_t narrow[BF16_STEP] = {0};
        if (row && c0 + channel < j->w->k)
            to_bf16(narrow, row + (size_t)(c0 * taps + i) * sdi_dtype_size(j->type), j->type, 1,
                    fill);
        steps[place_of(j->w, channel, i % taps, lane)] = narrow[0];
    }
}

static int is_wanted(const job *j, int64_t row)
{
    return row >= j->row0 && row < j->row0 + j->rows;
}

/* One part of a panel. Lanes of padding are cleared by every call that packs a row of it. */
static void pack_panel(void *argument, int64_t index, int32_t worker)
{
    (void)worker;
    const job *j = argument;
    const sdi_packed *w = j->w;
    const int64_t taps = (int64_t)w->kh * w->kw, panel = index / j->parts;
    const size_t row_bytes = (size_t)(w->k * taps) * sdi_dtype_size(j->type);
    const bf16_isa *isa = &sdi_x86_bf16_avx2;
    const bf16_fill fill = index % j->parts ? isa->fill_rest : isa->fill_row;
    uint16_t *steps = (uint16_t *)w->data + index * bf16_panel_size(w);
    int any = 0;
    for (int64_t lane = 0; lane < BF16_LANES; lane++)
        any |= is_wanted(j, bf16_lane_row(w, panel, lane));
    for (int64_t c = 0; any && c < w->k; c += BF16_STEP, steps += taps * BF16_STEP_SIZE) {
        for (int64_t lane = 0; lane < BF16_LANES; lane++) {
            const int64_t row = bf16_lane_row(w, panel, lane);
            const char *from = row < 0 ? NULL : j->source + (row - j->row0) * (int64_t)row_bytes;
            if (row >= 0 && !is_wanted(j, row))
                continue;
            if (BF16_STEP * taps <= STRETCH)
                pack_lane(j, from, c, steps, lane, fill);
            else
                pack_lane_large(j, from, c, steps, lane, fill);
        }
    }
}

static void pack(const sdi_exec *exec, job j)
{
    const sdi_packed *w = j.w;
    sdi_parallel_work(exec, bf16_panels(w) * j.parts,
                      (double)(j.rows * w->k * w->kh * w->kw * j.parts), pack_panel, &j);
}

/* A number is the sum of its parts, which is exact in float32. */
static float number_at(const sdi_packed *w, const uint16_t *from, int32_t parts)
{
    const float high = sdi_bf16_to_f32(*from);
    return parts > 1 ? high + sdi_bf16_to_f32(from[bf16_panel_size(w)]) : high;
}

static void unpack(const sdi_packed *w, int64_t row0, int64_t rows, float *out, int32_t parts)
{
    const int64_t taps = (int64_t)w->kh * w->kw, row_size = w->k * taps;
    for (int64_t i = 0; i < bf16_panels(w) * BF16_LANES; i++) {
        const int64_t panel = i / BF16_LANES, lane = i % BF16_LANES;
        const int64_t row = bf16_lane_row(w, panel, lane) - row0;
        const uint16_t *from = (const uint16_t *)w->data + panel * parts * bf16_panel_size(w);
        if (row < 0 || row >= rows)
            continue;
        for (int64_t e = 0; e < row_size; e++)
            out[row * row_size + e] =
                number_at(w, from + place_of(w, e / taps, e % taps, lane), parts);
    }
}

size_t sdi_x86_bf16_pack_bytes(const sdi_packed *w)
{
    return pack_bytes(w, 1);
}

void sdi_x86_bf16_pack(const sdi_exec *exec, sdi_packed *w, int64_t row0, int64_t rows,
                       const void *source, sdi_dtype type)
{
    pack(exec, (job){w, row0, rows, source, type, 1});
}

void sdi_x86_bf16_unpack(const sdi_packed *w, int64_t row0, int64_t rows, float *out)
{
    unpack(w, row0, rows, out, 1);
}

size_t sdi_x86_split_pack_bytes(const sdi_packed *w)
{
    return pack_bytes(w, 2);
}

void sdi_x86_split_pack(const sdi_exec *exec, sdi_packed *w, int64_t row0, int64_t rows,
                        const void *source, sdi_dtype type)
{
    pack(exec, (job){w, row0, rows, source, type, 2});
}

void sdi_x86_split_unpack(const sdi_packed *w, int64_t row0, int64_t rows, float *out)
{
    unpack(w, row0, rows, out, 2);
}
