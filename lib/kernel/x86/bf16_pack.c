/* SPDX-License-Identifier: MIT
 *
 * Weights into the panels of bf16.h and back, panel by panel.
 */
#include "kernel/parallel.h"
#include "kernel/x86/bf16.h"

enum { STRETCH = 2048 }; // elements of a row that are rounded at once

typedef struct job {
    sdi_packed *w;
    int64_t row0, rows;
    const char *source;
    sdi_dtype type;
} job;

/* Where element (channel, tap) of a lane lies in its panel. */
static inline int64_t place_of(const sdi_packed *w, int64_t channel, int64_t tap, int64_t lane)
{
    const int64_t step = channel / BF16_STEP * w->kh * w->kw + tap;
    const int64_t pair = channel % BF16_STEP / 2, half = lane / 16;
    return step * BF16_STEP_SIZE + half * 512 + pair * 32 + lane % 16 * 2 + channel % 2;
}

size_t sdi_x86_bf16_pack_bytes(const sdi_packed *w)
{
    return (size_t)(bf16_panels(w) * bf16_panel_size(w)) * sizeof(uint16_t);
}

static void to_bf16(uint16_t *out, const void *in, sdi_dtype type, int64_t count)
{
    if (type == SDI_F32 || type == SDI_F16 || type == SDI_BF16) {
        sdi_x86_bf16_avx2.fill_row(out, BF16_STEP, in, type, count);
        return;
    }
    float wide[STRETCH];
    sdi_convert_to_f32(wide, in, type, (size_t)count);
    sdi_x86_bf16_avx2.fill_row(out, BF16_STEP, wide, SDI_F32, count);
}

/* One row [k][taps] of the source; the lane of its panel. */
static void pack_lane(const job *j, const char *source, uint16_t *panel, int64_t lane)
{
    const sdi_packed *w = j->w;
    const int64_t taps = (int64_t)w->kh * w->kw, count = w->k * taps;
    uint16_t narrow[STRETCH];
    int64_t channel = 0, tap = 0;
    for (int64_t i = 0; i < count; i += STRETCH) {
        const int64_t n = SDI_MIN(STRETCH, count - i);
        to_bf16(narrow, source + (size_t)i * sdi_dtype_size(j->type), j->type, n);
        for (int64_t e = 0; e < n; e++) {
            panel[place_of(w, channel, tap, lane)] = narrow[e];
            if (++tap == taps) {
                tap = 0;
                channel++;
            }
        }
    }
}

static void clear_lane(const sdi_packed *w, int64_t from, uint16_t *panel, int64_t lane)
{
    for (int64_t c = from; c < bf16_channel_blocks(w) * BF16_STEP; c++)
        for (int64_t tap = 0; tap < w->kh * w->kw; tap++)
            panel[place_of(w, c, tap, lane)] = 0;
}

static int is_wanted(const job *j, int64_t row)
{
    return row >= j->row0 && row < j->row0 + j->rows;
}

/* Lanes of padding are cleared by every call that packs a row of their panel. */
static void pack_panel(void *argument, int64_t index, int32_t worker)
{
    (void)worker;
    const job *j = argument;
    const sdi_packed *w = j->w;
    uint16_t *panel = (uint16_t *)w->data + index * bf16_panel_size(w);
    const size_t row_bytes = (size_t)(w->k * w->kh * w->kw) * sdi_dtype_size(j->type);
    int any = 0;
    for (int64_t lane = 0; lane < BF16_LANES; lane++)
        any |= is_wanted(j, bf16_lane_row(w, index, lane));
    for (int64_t lane = 0; any && lane < BF16_LANES; lane++) {
        const int64_t row = bf16_lane_row(w, index, lane);
        if (row < 0)
            clear_lane(w, 0, panel, lane);
        if (!is_wanted(j, row))
            continue;
        pack_lane(j, j->source + (size_t)(row - j->row0) * row_bytes, panel, lane);
        clear_lane(w, w->k, panel, lane);
    }
}

void sdi_x86_bf16_pack(const sdi_exec *exec, sdi_packed *w, int64_t row0, int64_t rows,
                       const void *source, sdi_dtype type)
{
    job j = {w, row0, rows, source, type};
    sdi_parallel_work(exec, bf16_panels(w), (double)(rows * w->k * w->kh * w->kw), pack_panel,
                      &j);
}

void sdi_x86_bf16_unpack(const sdi_packed *w, int64_t row0, int64_t rows, float *out)
{
    const int64_t taps = (int64_t)w->kh * w->kw, row_size = w->k * taps;
    for (int64_t i = 0; i < bf16_panels(w) * BF16_LANES; i++) {
        const int64_t panel = i / BF16_LANES, lane = i % BF16_LANES;
        const int64_t row = bf16_lane_row(w, panel, lane) - row0;
        const uint16_t *from = (const uint16_t *)w->data + panel * bf16_panel_size(w);
        if (row < 0 || row >= rows)
            continue;
        for (int64_t e = 0; e < row_size; e++)
            out[row * row_size + e] = sdi_bf16_to_f32(from[place_of(w, e / taps, e % taps, lane)]);
    }
}
