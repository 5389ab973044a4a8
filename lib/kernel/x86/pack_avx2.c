/* SPDX-License-Identifier: MIT
 *
 * Packs float weights of any type into panels (panel.h): eight source rows of eight elements are
 * widened and transposed in registers, so that whole groups of lanes are stored. Bound by memory:
 * the source is read once in 32 streams, the panel written once.
 */
#include "kernel/x86/products.h"
#include "kernel/x86/transpose_avx2.h"

#include "base/attributes.h"

enum { GROUPS = PANEL / PANEL_GROUP };

typedef struct packing {
    sdi_packed *w;
    int64_t row0, rows;
    const char *source;
    sdi_dtype type;
} packing;

/* Eight lanes: rows given by this call, padding (row NULL), and rows of other calls. */
typedef struct group {
    const char *rows[PANEL_GROUP];
    int others[PANEL_GROUP];
    int given, shared; // lanes of this call, of others
} group;

static __m256 load_8(const char *row, int64_t at, int64_t count, sdi_dtype type)
{
    if (!row)
        return _mm256_setzero_ps();
    const char *from = row + at * (int64_t)sdi_dtype_size(type);
    if (count >= 8 && type == SDI_F32)
        return _mm256_loadu_ps((const float *)from);
    if (count >= 8 && type == SDI_F16)
        return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)from));
    if (count >= 8 && type == SDI_BF16) {
        const __m128i bits = _mm_loadu_si128((const __m128i *)from);
        return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
    }
    float buffer[8] = {0};
    sdi_convert_to_f32(buffer, from, type, (size_t)SDI_MIN(count, 8));
    return _mm256_loadu_ps(buffer);
}

static group find_group(const packing *p, int64_t panel, int32_t first_lane)
{
    const int64_t row_bytes =
        p->w->k * p->w->kh * p->w->kw * (int64_t)sdi_dtype_size(p->type);
    group g = {0};
    for (int32_t i = 0; i < PANEL_GROUP; i++) {
        const int64_t row = panel_row(p->w, panel, first_lane + i);
        if (row >= p->row0 && row < p->row0 + p->rows) {
            g.rows[i] = p->source + (row - p->row0) * row_bytes;
            g.given++;
        } else if (row >= 0) {
            g.others[i] = 1;
            g.shared++;
        }
    }
    return g;
}

/* Element e of a source row, as [k][taps], belongs to line (e % taps) * k + e / taps. */
static void store_columns(const sdi_packed *w, float *lanes, int64_t at, const __m256 *columns,
                          int64_t count)
{
    const int64_t taps = (int64_t)w->kh * w->kw;
    int64_t k = at / taps, tap = at % taps;
    for (int64_t i = 0; i < SDI_MIN(count, 8); i++) {
        _mm256_storeu_ps(lanes + (tap * w->k + k) * PANEL, columns[i]);
        if (++tap == taps) {
            tap = 0;
            k++;
        }
    }
}

/* A group that is shared with another call: only the given lanes are written. */
static void pack_partly(const packing *p, const group *g, float *lanes)
{
    const int64_t taps = (int64_t)p->w->kh * p->w->kw, count = p->w->k * taps;
    for (int32_t i = 0; i < PANEL_GROUP; i++) {
        if (g->others[i])
            continue;
        for (int64_t e = 0; e < count; e++) {
            float *lane = lanes + (e % taps * p->w->k + e / taps) * PANEL + i;
            *lane = 0;
            if (g->rows[i])
                sdi_convert_to_f32(lane, g->rows[i] + e * (int64_t)sdi_dtype_size(p->type),
                                   p->type, 1);
        }
    }
}

static void pack_panel(void *argument, int64_t panel, int32_t worker)
{
    const packing *p = argument;
    const int64_t count = p->w->k * p->w->kh * p->w->kw;
    float *data = (float *)p->w->data + panel * panel_floats(p->w);
    group groups[GROUPS];
    int given = 0;
    for (int32_t g = 0; g < GROUPS; g++) {
        groups[g] = find_group(p, panel, g * PANEL_GROUP);
        given += groups[g].given;
    }
    if (!given)
        return;
    for (int64_t e = 0; e < count; e += 8) {
        for (int32_t g = 0; g < GROUPS; g++) {
            if (groups[g].shared)
                continue;
            __m256 r[8];
            for (int32_t i = 0; i < PANEL_GROUP; i++)
                r[i] = load_8(groups[g].rows[i], e, count - e, p->type);
            transpose_8x8(r);
            store_columns(p->w, data + g * PANEL_GROUP, e, r, count - e);
        }
    }
    for (int32_t g = 0; g < GROUPS; g++)
        if (groups[g].shared)
            pack_partly(p, &groups[g], data + g * PANEL_GROUP);
}

void sdi_x86_pack_avx2(const sdi_exec *exec, sdi_packed *w, int64_t row0, int64_t rows,
                       const void *source, sdi_dtype type)
{
    packing p = {w, row0, rows, source, type};
    sdi_parallel_for(exec ? exec->pool : NULL, panel_count(w), pack_panel, &p);
}
