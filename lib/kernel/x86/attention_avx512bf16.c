/* SPDX-License-Identifier: MIT
 *
 * Attention with bf16 operands and fp32 softmax, on the tile of the bf16 products: the method of
 * attention_tmpl.h with both products written as
 *
 *     S[key][query]    = K (rows: keys, steps over d)       times q as a panel of 32 lanes
 *     O[column][query] += V^T (rows: columns, steps of keys) times P as a panel of 32 lanes
 *
 * so that vdpbf16ps and AMX tiles serve without an own kernel. A strip is 32 queries. P is made as
 * bf16 bits by whole numbers, pairs of keys at a time; the divisor is the sum of just these. The
 * running maximum is a whole number of octaves, so that the bits of P do not depend on it, and P
 * may exceed 1 until it is raised.
 *
 * The products of one strip stand between the vectors' passes over another one, on which they do
 * not depend: where tiles multiply, exponentials are computed meanwhile.
 */
#include "kernel/x86/vec_avx512.h"

#include "kernel/parallel.h"
#include "kernel/x86/attention.h"
#include "kernel/x86/bf16.h"
#include "kernel/x86/elements.h"
#include "kernel/x86/fpu.h"
#include "kernel/x86/transpose_avx2.h"
#include "kernel/x86/vmath.h"

#include <math.h>

enum {
    STRIP = BF16_LANES,
    STRIPS_MIN = 4,    // of a piece of work: a block of K and V is rounded once for all of them,
    STRIPS_MAX = 32,   // and between blocks
    STRIP_BYTES = 320 << 10, // of q and O wait in the second-level cache
    KEYS = 64,         // of a block
    KEY_STEPS = KEYS / BF16_STEP,
    BLOCK = BF16_RUN * BF16_STEP, // elements of a tile
    HEADROOM = 8       // octaves that a score may lie above the running maximum
};

typedef struct job {
    const sdi_exec *exec;
    const bf16_isa *isa;
    const sdi_attention *a;
    int64_t strips;  // of a piece
    int64_t steps;   // of d
    int64_t columns; // of O: d in whole runs
    float factor;    // scale * log2 e
    size_t scratch;
} job;

/* A worker's memory. */
typedef struct workspace {
    uint16_t *k;    // [steps][KEYS][32]
    uint16_t *v;    // [KEY_STEPS][columns][32]
    uint16_t *rows; // [steps][KEYS][32]: V or q before transposing
    uint16_t *p[2]; // panels of KEY_STEPS steps, of strips in turn
    uint16_t *q;    // [strips] panels of `steps` steps
    float *s[2];    // [KEYS][32]
    float *o;       // [strips][columns][32]
    int32_t *k_steps, *v_steps; // where each step begins
} workspace;

typedef struct strip {
    uint16_t *q;
    float *o;
    int64_t query0; // first query of the strip in its image
    vec max[2], sum[2]; // max in whole octaves
} strip;

/* As many as fit; all pieces of a head nearly alike. */
static int64_t strips_of(const sdi_attention *a, int64_t bytes)
{
    const int64_t all = sdi_pieces(a->tq, STRIP);
    const int64_t most = SDI_MIN(SDI_MAX(STRIP_BYTES / bytes, STRIPS_MIN), STRIPS_MAX);
    return sdi_pieces(all, sdi_pieces(all, most));
}

static job job_of(const sdi_exec *exec, const bf16_isa *isa, const sdi_attention *a)
{
    job j = {.exec = exec, .isa = isa, .a = a};
    j.steps = (a->d + BF16_STEP - 1) / BF16_STEP;
    j.columns = (a->d + BF16_RUN - 1) / BF16_RUN * BF16_RUN;
    j.strips = strips_of(a, j.steps * BF16_STEP_SIZE * 2 + j.columns * STRIP * 4);
    j.factor = a->scale * 1.44269504f;
    const int64_t narrow = 2 * j.steps * KEYS * BF16_STEP + KEY_STEPS * j.columns * BF16_STEP +
                           (2 * KEY_STEPS + j.strips * j.steps) * BF16_STEP_SIZE;
    const int64_t wide = (2 * KEYS + j.strips * j.columns) * STRIP;
    const int64_t offsets = (j.steps + KEY_STEPS + 15) / 16 * 16;
    j.scratch = sdi_scratch_round((size_t)narrow * 2 + (size_t)(wide + offsets) * 4);
    return j;
}

static workspace workspace_of(const job *j, int32_t worker)
{
    workspace w;
    w.k = sdi_scratch_of(j->exec, j->scratch, worker);
    w.rows = w.k + j->steps * KEYS * BF16_STEP;
    w.v = w.rows + j->steps * KEYS * BF16_STEP;
    w.p[0] = w.v + KEY_STEPS * j->columns * BF16_STEP;
    w.p[1] = w.p[0] + KEY_STEPS * BF16_STEP_SIZE;
    w.q = w.p[1] + KEY_STEPS * BF16_STEP_SIZE;
    w.s[0] = (float *)(void *)(w.q + j->strips * j->steps * BF16_STEP_SIZE);
    w.s[1] = w.s[0] + KEYS * STRIP;
    w.o = w.s[1] + KEYS * STRIP;
    w.k_steps = (int32_t *)(void *)(w.o + j->strips * j->columns * STRIP);
    w.v_steps = w.k_steps + j->steps;
    for (int64_t i = 0; i < j->steps; i++)
        w.k_steps[i] = (int32_t)(i * KEYS * BF16_STEP);
    for (int64_t i = 0; i < KEY_STEPS; i++)
        w.v_steps[i] = (int32_t)(i * j->columns * BF16_STEP);
    return w;
}

/* Rows of one head as [steps][KEYS][32], zeros behind d and behind the last row. */
static void round_rows(const job *j, const sdi_mat *from, int64_t row0, int64_t count,
                       int64_t wanted, int64_t column0, uint16_t *to)
{
    for (int64_t i = 0; i < wanted; i++)
        j->isa->fill_row(to + i * BF16_STEP, KEYS * BF16_STEP,
                         i < count ? elements_at(from, row0 + i, column0) : NULL, from->type,
                         j->a->d);
}

/* 8 rows of 8 pairs (32 bits) to 8 rows of the other kind; pitches in elements. */
static void transpose_pairs(const uint16_t *from, int64_t from_pitch, uint16_t *to,
                            int64_t to_pitch)
{
    __m256 r[8];
    for (int i = 0; i < 8; i++)
        r[i] = _mm256_loadu_ps((const float *)(const void *)(from + i * from_pitch));
    transpose_8x8(r);
    for (int i = 0; i < 8; i++)
        _mm256_storeu_ps((float *)(void *)(to + i * to_pitch), r[i]);
}

/* 32 rows of queries to a panel: [step][half][pair][query][2]. */
static void load_queries(const job *j, const workspace *w, const strip *t, int64_t row0,
                         int64_t count, int64_t column0)
{
    round_rows(j, &j->a->q, row0, count, STRIP, column0, w->rows);
    for (int64_t step = 0; step < j->steps; step++)
        for (int64_t query = 0; query < STRIP; query += 8)
            for (int64_t pair = 0; pair < 16; pair += 8)
                transpose_pairs(w->rows + (step * KEYS + query) * BF16_STEP + pair * 2, BF16_STEP,
                                t->q + step * BF16_STEP_SIZE + query / 16 * 512 + pair * 32 +
                                    query % 16 * 2,
                                32);
}

/* Columns c .. c + 7 of 16 rows of V to 8 rows of 16 keys. */
static void transpose_values(const uint16_t *rows, uint16_t *to)
{
    __m256 r[8];
    for (int i = 0; i < 8; i++) {
        const __m128i a = _mm_loadu_si128((const __m128i *)(rows + 2 * i * BF16_STEP));
        const __m128i b = _mm_loadu_si128((const __m128i *)(rows + (2 * i + 1) * BF16_STEP));
        r[i] = _mm256_castsi256_ps(
            _mm256_set_m128i(_mm_unpackhi_epi16(a, b), _mm_unpacklo_epi16(a, b)));
    }
    transpose_8x8(r);
    for (int i = 0; i < 8; i++)
        _mm256_storeu_ps((float *)(void *)(to + i * BF16_STEP), r[i]);
}

static void load_keys(const job *j, const workspace *w, int64_t row0, int64_t keys,
                      int64_t column0)
{
    const int64_t padded = sdi_pieces(keys, BF16_STEP) * BF16_STEP;
    round_rows(j, &j->a->k, row0, keys, padded, column0, w->k);
    round_rows(j, &j->a->v, row0, keys, padded, column0, w->rows);
    for (int64_t c = 0; c < j->columns; c += 8)
        for (int64_t key = 0; key < padded; key += 16)
            transpose_values(w->rows + (c / BF16_STEP * KEYS + key) * BF16_STEP + c % BF16_STEP,
                             w->v + (key / BF16_STEP * j->columns + c) * BF16_STEP +
                                 key % BF16_STEP);
}

/* Pairs of the last of the steps that hold n numbers. */
static int32_t last_pairs(int64_t n)
{
    return (int32_t)((n - 1) % BF16_STEP / 2 + 1);
}

static void scores(const job *j, const workspace *w, const strip *t, int64_t keys, float *s)
{
    bf16_tile tile = {.offsets = w->k_steps, .steps = j->steps,
                      .last_pairs = last_pairs(j->a->d), .b = t->q};
    for (int64_t key = 0; key < keys; key += 2 * BF16_RUN) {
        const int64_t left = keys - key;
        tile.a[0] = w->k + key * BF16_STEP;
        tile.a[1] = tile.a[0] + BLOCK;
        tile.rows[0] = (int32_t)SDI_MIN(left, BF16_RUN);
        tile.rows[1] = (int32_t)SDI_MAX(SDI_MIN(left - BF16_RUN, BF16_RUN), 0);
        tile.c = s + key * STRIP;
        j->isa->tile(&tile);
    }
}

/* Causal: hides keys behind their queries. A lane's query is query0 + lane. */
static void hide_future(const job *j, const strip *t, int64_t key0, int64_t keys, float *s)
{
    const vec hidden = vec_set(j->factor < 0 ? 1e30f : -1e30f);
    for (int64_t r = 0; r < keys; r++)
        for (int i = 0; i < 2; i++) {
            float *at = s + r * STRIP + i * VEC;
            vec_storeu(at, vec_hide_below(vec_loadu(at), key0 + r - t->query0 - i * VEC, hidden));
        }
}

/* Largest scaled score of each of 16 queries, up to a whole octave; NaN counts for nothing. */
static vec largest(const job *j, int64_t keys, const float *s)
{
    vec high = vec_set(-INFINITY);
    for (int64_t r = 0; r < keys; r++)
        high = vec_max(vec_mul(vec_loadu(s + r * STRIP), vec_set(j->factor)), high);
    return _mm512_roundscale_ps(high, _MM_FROUND_TO_POS_INF | _MM_FROUND_NO_EXC);
}

/* Raises the running maximum; sums and outputs so far shrink by what it rose, a power of two. With
 * the first keys there are none, and it may fall. */
static void raise_max(const job *j, strip *t, int first, int64_t keys, const float *s)
{
    for (int i = 0; i < 2; i++) {
        const vec most = largest(j, keys, s + i * VEC), old = t->max[i];
        t->max[i] = first ? most : vec_max(most, old);
        if (first || !vec_any_greater(t->max[i], old))
            continue;
        const vec shrink = vec_scale_down(vec_set(1), vec_sub(old, t->max[i]));
        t->sum[i] = vec_mul(t->sum[i], shrink);
        for (int64_t c = 0; c < j->columns; c++) {
            float *at = t->o + c * STRIP + i * VEC;
            vec_storeu(at, vec_mul(vec_loadu(at), shrink));
        }
    }
}

/* What the bits of 2^(1 - f) fall short of the straight line from 2 to 1, in units of the last
 * place, for f of 2 i / 128 and (2 i + 1) / 128: the closest to both. */
static const uint8_t sag[64] SDI_ALIGNED(64) = {
    0, 1, 2, 2, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 8,
    9, 9, 9, 10, 10, 10, 10, 10, 11, 11, 11, 11, 11, 11, 11, 11,
    11, 11, 11, 11, 11, 10, 10, 10, 10, 10, 9, 9, 9, 9, 8, 8,
    8, 7, 7, 7, 6, 6, 5, 5, 4, 4, 3, 3, 2, 2, 1, 0,
};

/* bf16 bits by the fraction of a distance, before the distance is taken off. */
typedef struct bit_table {
    __m512i low, high;
} bit_table;

static inline __m512i table_half(const uint8_t *from)
{
    return _mm512_sub_epi16(_mm512_set1_epi16((127 + HEADROOM) * 128),
                            _mm512_cvtepu8_epi16(_mm256_load_si256((const __m256i *)from)));
}

/* P of a pair of keys for 16 queries, 2^(HEADROOM - distance): distances are in octaves times 2^23,
 * and their upper 16 bits, in 128ths, need only be taken off the exponent and mantissa of bf16.
 * Off by 1/256 octave at most, and 1.2 units of 2^-8 from the table. What is too far for an int32,
 * and NaN, becomes 0. */
static inline __m512i power_pairs(vec even, vec odd, const bit_table *table)
{
    const __m512i upper = _mm512_set4_epi32(0x0f0e0f0e, 0x0b0a0b0a, 0x07060706, 0x03020302);
    const __m512i distance = _mm512_mask_shuffle_epi8(
        _mm512_cvtps_epi32(odd), 0x3333333333333333, _mm512_cvtps_epi32(even), upper);
    const __m512i half = _mm512_srli_epi16(distance, 1); // the table looks at 6 bits
    return _mm512_subs_epu16(_mm512_permutex2var_epi16(table->low, half, table->high), distance);
}

/* Zeros behind the last pair, up to a whole step. */
static void clear_pairs(int64_t keys, uint16_t *p)
{
    for (int64_t r = (keys + 1) / 2 * 2; r % BF16_STEP; r += 2) {
        uint16_t *to = p + r / BF16_STEP * BF16_STEP_SIZE + r % BF16_STEP * 16;
        _mm512_store_si512(to, _mm512_setzero_si512());
        _mm512_store_si512(to + 512, _mm512_setzero_si512());
    }
}

/* From a score up to HEADROOM above the running maximum. One just raised is a rounded product: then
 * the score's is rounded alike, lest the largest of 2^28 octaves be far from itself or beyond. */
static inline vec distance(const float *s, vec scale, vec top, int raised)
{
    const vec x = vec_loadu(s);
    return raised ? vec_sub(top, vec_mul(x, scale)) : _mm512_fnmadd_ps(x, scale, top);
}

/* P as pairs of keys, and its sum. Returns 0, with nothing summed, if the running maximum will not
 * do: a score is NaN or above it by more than HEADROOM, or all so far are so low that P loses bits.
 * After it was raised only NaN is left, and makes the sum NaN. */
static inline int probabilities(const job *j, strip *t, int64_t keys, const float *s, uint16_t *p,
                                const int raised)
{
    const bit_table table = {table_half(sag), table_half(sag + 32)};
    const __m512bh ones = (__m512bh)_mm512_set1_epi16(0x3f80);
    const vec scale = vec_set(j->factor * 0x1p23f);
    vec top[2], sum[2];
    __m512i bad[2]; // distances as unsigned bits: negative ones and NaN are above infinity
    for (int i = 0; i < 2; i++) {
        const vec room = vec_add(t->max[i], vec_set(HEADROOM));
        top[i] = vec_fma(room, vec_set(0x1p23f), vec_set(0x1p15f)); // the upper 16 bits round
        sum[i] = vec_set(0);
        bad[i] = _mm512_setzero_si512();
    }
    for (int64_t r = 0; r < keys; r += 2) {
        uint16_t *to = p + r / BF16_STEP * BF16_STEP_SIZE + r % BF16_STEP * 16;
        for (int i = 0; i < 2; i++, to += 512) {
            const float *at = s + r * STRIP + i * VEC;
            const vec even = distance(at, scale, top[i], raised);
            const vec odd =
                r + 1 < keys ? distance(at + STRIP, scale, top[i], raised) : vec_set(INFINITY);
            bad[i] = _mm512_max_epu32(bad[i], _mm512_castps_si512(even));
            bad[i] = _mm512_max_epu32(bad[i], _mm512_castps_si512(odd));
            const __m512i pair = power_pairs(even, odd, &table);
            sum[i] = _mm512_dpbf16_ps(sum[i], (__m512bh)pair, ones);
            _mm512_store_si512(to, pair);
        }
    }
    const __m512i infinite = _mm512_set1_epi32(0x7f800000);
    __mmask16 nan[2], low = 0;
    for (int i = 0; i < 2; i++) {
        nan[i] = _mm512_cmpgt_epu32_mask(bad[i], infinite);
        sum[i] = vec_add(t->sum[i], sum[i]);
        low |= _mm512_cmp_ps_mask(sum[i], vec_set(0.5f), _CMP_LT_OQ); // of P at the maximum
    }
    if (!raised && (nan[0] | nan[1] | low))
        return 0;
    for (int i = 0; i < 2; i++)
        t->sum[i] = _mm512_mask_blend_ps(nan[i], sum[i], vec_set(NAN));
    clear_pairs(keys, p);
    return 1;
}

/* The maximum begins as 0 and may lag behind: few blocks are worth a pass for it. */
static void soften(const job *j, strip *t, int first, int64_t keys, const float *s, uint16_t *p)
{
    if (probabilities(j, t, keys, s, p, 0))
        return;
    raise_max(j, t, first, keys, s);
    probabilities(j, t, keys, s, p, 1);
}

static void outputs(const job *j, const workspace *w, const strip *t, int64_t keys,
                    const uint16_t *p)
{
    bf16_tile tile = {.offsets = w->v_steps, .steps = sdi_pieces(keys, BF16_STEP),
                      .last_pairs = last_pairs(keys), .b = p, .add = 1};
    for (int64_t c = 0; c < j->columns; c += 2 * BF16_RUN) {
        const int64_t left = j->a->d - c;
        tile.a[0] = w->v + c * BF16_STEP;
        tile.a[1] = left > BF16_RUN ? tile.a[0] + BLOCK : tile.a[0];
        tile.rows[0] = (int32_t)SDI_MIN(left, BF16_RUN);
        tile.rows[1] = (int32_t)SDI_MAX(SDI_MIN(left - BF16_RUN, BF16_RUN), 0);
        tile.c = t->o + c * STRIP;
        j->isa->tile(&tile);
    }
}

/* One block of keys for `count` strips. */
static void attend(const job *j, const workspace *w, strip *t, int64_t count, int64_t key0,
                   int64_t keys)
{
    scores(j, w, t, keys, w->s[0]);
    for (int64_t i = 0; i < count; i++) {
        float *s = w->s[i % 2];
        if (i + 1 < count)
            scores(j, w, t + i + 1, keys, w->s[(i + 1) % 2]);
        if (j->a->causal && key0 + keys - 1 > t[i].query0)
            hide_future(j, t + i, key0, keys, s);
        if (i > 0)
            outputs(j, w, t + i - 1, keys, w->p[(i - 1) % 2]);
        soften(j, t + i, key0 == 0, keys, s, w->p[i % 2]);
    }
    outputs(j, w, t + count - 1, keys, w->p[(count - 1) % 2]);
}

static void start_strip(const job *j, const workspace *w, strip *t, int64_t index,
                        int64_t query0)
{
    t->q = w->q + index * j->steps * BF16_STEP_SIZE;
    t->o = w->o + index * j->columns * STRIP;
    t->query0 = query0;
    for (int i = 0; i < 2; i++)
        t->max[i] = t->sum[i] = vec_set(0);
    memset(t->o, 0, (size_t)(STRIP * j->columns) * sizeof(float));
}

/* 8 queries of 16 columns of O, a row each. */
static void transpose_outputs(const float *o, __m256 factor, vec *rows)
{
    __m256 low[8], high[8];
    for (int i = 0; i < 8; i++) {
        low[i] = _mm256_mul_ps(_mm256_loadu_ps(o + i * STRIP), factor);
        high[i] = _mm256_mul_ps(_mm256_loadu_ps(o + (i + 8) * STRIP), factor);
    }
    transpose_8x8(low);
    transpose_8x8(high);
    for (int i = 0; i < 8; i++)
        rows[i] = _mm512_insertf32x8(_mm512_castps256_ps512(low[i]), high[i], 1);
}

static void store_row(void *to, sdi_dtype type, vec x, int64_t count)
{
    const __mmask16 wanted = vec_first(count);
    if (type == SDI_F32)
        _mm512_mask_storeu_ps(to, wanted, x);
    else if (type == SDI_F16)
        _mm256_mask_storeu_epi16(to, wanted, _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT));
    else
        _mm256_mask_storeu_epi16(to, wanted, (__m256i)_mm512_cvtneps_pbh(x));
}

/* O / sum of P, transposed to rows of out. */
static void store_outputs(const job *j, const strip *t, int64_t row0, int64_t count,
                          int64_t column0)
{
    const sdi_mat *out = &j->a->out;
    float inverse[STRIP];
    for (int i = 0; i < 2; i++)
        vec_storeu(inverse + i * VEC, vec_div(vec_set(1), t->sum[i]));
    for (int64_t query = 0; query < count; query += 8) {
        const __m256 factor = _mm256_loadu_ps(inverse + query);
        for (int64_t c = 0; c < j->a->d; c += VEC) {
            vec rows[8];
            transpose_outputs(t->o + c * STRIP + query, factor, rows);
            for (int64_t i = 0; i < SDI_MIN(count - query, 8); i++)
                store_row(elements_at(out, row0 + query + i, column0 + c), out->type, rows[i],
                          j->a->d - c);
        }
    }
}

static void attention_piece(void *argument, int64_t index, int32_t worker)
{
    const job *j = argument;
    const sdi_attention *a = j->a;
    const int64_t queries = j->strips * STRIP;
    const attention_place place = attention_place_of(a, queries, index);
    const int64_t query0 = place.query0, column0 = place.column0, image = place.image;
    const int64_t strips = SDI_MIN(sdi_pieces(a->tq - query0, STRIP), j->strips);
    const workspace w = workspace_of(j, worker);
    const unsigned callers = fpu_enter();
    j->isa->enter();
    strip t[STRIPS_MAX];
    for (int64_t i = 0; i < strips; i++) {
        const int64_t query = query0 + i * STRIP;
        start_strip(j, &w, &t[i], i, query);
        load_queries(j, &w, &t[i], image * a->tq + query, a->tq - query, column0);
    }
    const int64_t seen = a->causal ? SDI_MIN(query0 + queries, a->tk) : a->tk;
    for (int64_t key0 = 0; key0 < seen; key0 += KEYS) {
        const int64_t keys = SDI_MIN(KEYS, seen - key0);
        load_keys(j, &w, image * a->tk + key0, keys, column0);
        int64_t blind = 0; // strips that see none of these keys
        while (a->causal && blind < strips && key0 >= t[blind].query0 + STRIP)
            blind++;
        if (blind < strips)
            attend(j, &w, t + blind, strips - blind, key0, keys);
    }
    for (int64_t i = 0; i < strips; i++)
        store_outputs(j, &t[i], image * a->tq + t[i].query0,
                      SDI_MIN(a->tq - t[i].query0, STRIP), column0);
    j->isa->leave();
    fpu_leave(callers);
}

void sdi_x86_bf16_attention(const bf16_isa *isa, const sdi_exec *exec, const sdi_attention *a)
{
    job j = job_of(exec, isa, a);
    const int64_t count = a->b * a->heads * sdi_pieces(a->tq, j.strips * STRIP);
    const double work = (double)(a->b * a->heads * a->tq) * (double)(a->tk * a->d) / 8;
    sdi_parallel_work(exec, count, work, attention_piece, &j);
}

size_t sdi_x86_bf16_attention_scratch(const sdi_attention *a, int32_t workers)
{
    return job_of(NULL, NULL, a).scratch * (size_t)workers;
}
