/* SPDX-License-Identifier: MIT
 *
 * Attention by running softmax (Milakov and Gimelshein 2018; Dao et al. 2022, "FlashAttention"),
 * transposed: the lanes of a vector are queries. Included by attention_<isa>.c, which defines
 *
 *     QUERY_VECS   vectors of queries side by side: a strip is QUERY_VECS * VEC queries
 *     TILE_ROWS    rows of a register tile: keys in K q^T, columns of the head in v^T P^T
 *
 * For a block of keys:  S = K q^T   [key][query], register tiles, sum over d
 *                       P = 2^(S - max), the maximum and the sum of a query stay in its lane
 *                       O += V^T P  [column][query], register tiles, sum over keys
 *
 * Both products multiply a broadcast number of K or V with vectors of queries: nothing is padded
 * to vectors but the queries, no horizontal operation is needed, and masking is by lane. K and V
 * of the block are copied to rows of an odd number of cache lines, so that any pitch of the
 * matrices costs the same. Scale and log2 e are multiplied into q.
 */
#include "kernel/parallel.h"
#include "kernel/x86/elements.h"
#include "kernel/x86/fpu.h"
#include "kernel/x86/transpose_avx2.h"
#include "kernel/x86/vmath.h"
#include "kernel/x86/attention.h"

#include <math.h>

enum {
    STRIP = QUERY_VECS * VEC,
    STRIPS_MAX = 8, // of a piece of work: a block of K and V is copied once for all of them
    WIDE = 192,     // heads wider than this have half as many, for the second-level cache
    KEYS = 64       // of a block, a multiple of TILE_ROWS
};

typedef struct job {
    const sdi_exec *exec;
    const sdi_attention *a;
    int64_t strips; // of a piece
    int64_t pitch;  // of rows of K and V, floats
    int64_t rows;  // of O: d rounded up to whole tiles
    sdi_dtype operand; // SDI_BF16: q, k and v are rounded to it
    size_t scratch;
} job;

/* A worker's memory. q and o hold the strips one behind the other. */
typedef struct workspace {
    float *k, *v; // [KEYS][pitch]
    float *q;     // [strips][d][STRIP]
    float *o;     // [strips][rows][STRIP]
    float *s;     // [KEYS][STRIP]
    float *row;   // [8][pitch], for transposing
} workspace;

typedef struct strip {
    float *q, *o;
    int64_t query0; // first query of the strip in its image
    vec max[QUERY_VECS], sum[QUERY_VECS];
} strip;

static int64_t rounded(int64_t n, int64_t multiple)
{
    return (n + multiple - 1) / multiple * multiple;
}

static job job_of(const sdi_exec *exec, const sdi_attention *a, sdi_dtype operand)
{
    job j = {.exec = exec, .a = a, .operand = operand, .rows = rounded(a->d, TILE_ROWS)};
    j.strips = a->d > WIDE ? STRIPS_MAX / 2 : STRIPS_MAX;
    j.pitch = (rounded(j.rows, 16) / 16 | 1) * 16;
    const int64_t floats = (2 * KEYS + 8) * j.pitch + j.strips * STRIP * (a->d + j.rows) +
                           KEYS * STRIP;
    j.scratch = sdi_scratch_round((size_t)floats * sizeof(float));
    return j;
}

static workspace workspace_of(const job *j, int32_t worker)
{
    workspace w;
    w.k = sdi_scratch_of(j->exec, j->scratch, worker);
    w.v = w.k + KEYS * j->pitch;
    w.q = w.v + KEYS * j->pitch;
    w.o = w.q + j->strips * STRIP * j->a->d;
    w.s = w.o + j->strips * STRIP * j->rows;
    w.row = w.s + KEYS * STRIP;
    return w;
}

static void round_operands(float *x, int64_t count)
{
    for (int64_t i = 0; i < count; i += VEC) {
        uint16_t narrow[VEC];
        vec_store_bf16(narrow, vec_loadu(x + i));
        vec_storeu(x + i, vec_load_bf16(narrow));
    }
}

/* Copies rows of one head, with zeros from d to the pitch. */
static void copy_rows(const job *j, const sdi_mat *from, int64_t row0, int64_t count,
                      int64_t column0, float *to)
{
    for (int64_t i = 0; i < count; i++, to += j->pitch) {
        elements_widen(to, elements_at(from, row0 + i, column0), from->type, j->a->d);
        for (int64_t c = j->a->d; c < j->pitch; c++)
            to[c] = 0;
        if (j->operand == SDI_BF16 && from->type != SDI_BF16)
            round_operands(to, j->pitch);
    }
}

/* 8 rows of numbers to 8 columns of [columns][STRIP], or back, in blocks of 8 columns. */
static void transpose_in(const float *rows, int64_t pitch, int64_t columns, float factor,
                         float *to)
{
    const __m256 scale = _mm256_set1_ps(factor);
    for (int64_t c = 0; c < columns; c += 8) {
        __m256 r[8];
        for (int i = 0; i < 8; i++)
            r[i] = _mm256_mul_ps(_mm256_loadu_ps(rows + i * pitch + c), scale);
        transpose_8x8(r);
        for (int i = 0; i < 8 && c + i < columns; i++)
            _mm256_storeu_ps(to + (c + i) * STRIP, r[i]);
    }
}

static void transpose_out(const float *from, int64_t columns, float *rows, int64_t pitch)
{
    for (int64_t c = 0; c < columns; c += 8) {
        __m256 r[8];
        for (int i = 0; i < 8; i++)
            r[i] = c + i < columns ? _mm256_loadu_ps(from + (c + i) * STRIP)
                                   : _mm256_setzero_ps();
        transpose_8x8(r);
        for (int i = 0; i < 8; i++)
            _mm256_storeu_ps(rows + i * pitch + c, r[i]);
    }
}

/* q^T of a strip, times scale and log2 e; zeros for queries that are not there. */
static void load_queries(const job *j, const workspace *w, const strip *t, int64_t row0,
                         int64_t count, int64_t column0)
{
    const float factor = j->a->scale * 1.44269504f;
    for (int64_t i = 0; i < STRIP; i += 8) {
        const int64_t there = SDI_MAX(SDI_MIN(count - i, 8), 0);
        copy_rows(j, &j->a->q, row0 + i, there, column0, w->row);
        memset(w->row + there * j->pitch, 0, (size_t)((8 - there) * j->pitch) * sizeof(float));
        transpose_in(w->row, j->pitch, j->a->d, factor, t->q + i);
    }
}

/* S of TILE_ROWS keys; the largest of each query. */
static inline void score_tile(const float *k, int64_t pitch, const float *q, int64_t d, float *s,
                              vec max[QUERY_VECS])
{
    vec acc[TILE_ROWS][QUERY_VECS];
    for (int r = 0; r < TILE_ROWS; r++)
        for (int i = 0; i < QUERY_VECS; i++)
            acc[r][i] = vec_set(0);
    for (int64_t c = 0; c < d; c++) {
        vec x[QUERY_VECS];
        for (int i = 0; i < QUERY_VECS; i++)
            x[i] = vec_loadu(q + c * STRIP + i * VEC);
        for (int r = 0; r < TILE_ROWS; r++) {
            const vec y = vec_set(k[r * pitch + c]);
            for (int i = 0; i < QUERY_VECS; i++)
                acc[r][i] = vec_fma(y, x[i], acc[r][i]);
        }
    }
    for (int r = 0; r < TILE_ROWS; r++) {
        for (int i = 0; i < QUERY_VECS; i++) {
            max[i] = vec_max(acc[r][i], max[i]);
            vec_storeu(s + r * STRIP + i * VEC, acc[r][i]);
        }
    }
}

/* Causal: hides keys behind their queries. A lane's query is query0 + lane. */
static void hide_future(const strip *t, int64_t key0, int64_t keys, float *s,
                        vec max[QUERY_VECS])
{
    for (int i = 0; i < QUERY_VECS; i++) {
        max[i] = vec_set(-INFINITY);
        for (int64_t r = 0; r < keys; r++) {
            float *at = s + r * STRIP + i * VEC;
            const vec x = vec_hide_below(vec_loadu(at), key0 + r - t->query0 - i * VEC,
                                         vec_set(-INFINITY));
            max[i] = vec_max(x, max[i]);
            vec_storeu(at, x);
        }
    }
}

/* Raises the running maximum; sums and outputs so far shrink by what it rose. */
static void raise_max(const job *j, strip *t, const vec max[QUERY_VECS])
{
    for (int i = 0; i < QUERY_VECS; i++) {
        if (!vec_any_greater(max[i], t->max[i]))
            continue;
        const vec higher = vec_max(t->max[i], max[i]);
        const vec shrink = vec_exp2(vec_sub(t->max[i], higher));
        t->max[i] = higher;
        t->sum[i] = vec_mul(t->sum[i], shrink);
        for (int64_t c = 0; c < j->rows; c++) {
            float *at = t->o + c * STRIP + i * VEC;
            vec_storeu(at, vec_mul(vec_loadu(at), shrink));
        }
    }
}

static void exponentials(strip *t, int64_t keys, float *s)
{
    for (int64_t r = 0; r < keys; r++) {
        for (int i = 0; i < QUERY_VECS; i++) {
            float *at = s + r * STRIP + i * VEC;
            const vec p = vec_exp2(vec_sub(vec_loadu(at), t->max[i]));
            t->sum[i] = vec_add(t->sum[i], p);
            vec_storeu(at, p);
        }
    }
}

/* O of TILE_ROWS columns += V^T P. */
static inline void output_tile(const float *v, int64_t pitch, const float *p, int64_t keys,
                               float *o)
{
    vec acc[TILE_ROWS][QUERY_VECS];
    for (int r = 0; r < TILE_ROWS; r++)
        for (int i = 0; i < QUERY_VECS; i++)
            acc[r][i] = vec_loadu(o + r * STRIP + i * VEC);
    for (int64_t key = 0; key < keys; key++) {
        vec x[QUERY_VECS];
        for (int i = 0; i < QUERY_VECS; i++)
            x[i] = vec_loadu(p + key * STRIP + i * VEC);
        for (int r = 0; r < TILE_ROWS; r++) {
            const vec y = vec_set(v[key * pitch + r]);
            for (int i = 0; i < QUERY_VECS; i++)
                acc[r][i] = vec_fma(y, x[i], acc[r][i]);
        }
    }
    for (int r = 0; r < TILE_ROWS; r++)
        for (int i = 0; i < QUERY_VECS; i++)
            vec_storeu(o + r * STRIP + i * VEC, acc[r][i]);
}

/* One strip against one block of keys, whose K is filled up to whole tiles. */
static void attend(const job *j, const workspace *w, strip *t, int64_t key0, int64_t keys)
{
    vec max[QUERY_VECS];
    for (int i = 0; i < QUERY_VECS; i++)
        max[i] = t->max[i];
    for (int64_t r = 0; r < keys; r += TILE_ROWS)
        score_tile(w->k + r * j->pitch, j->pitch, t->q, j->a->d, w->s + r * STRIP, max);
    if (j->a->causal && key0 + keys - 1 > t->query0)
        hide_future(t, key0, keys, w->s, max);
    raise_max(j, t, max);
    exponentials(t, keys, w->s);
    for (int64_t c = 0; c < j->rows; c += TILE_ROWS)
        output_tile(w->v + c, j->pitch, w->s, keys, t->o + c * STRIP);
}

static void load_keys(const job *j, const workspace *w, int64_t row0, int64_t keys,
                      int64_t column0)
{
    copy_rows(j, &j->a->k, row0, keys, column0, w->k);
    copy_rows(j, &j->a->v, row0, keys, column0, w->v);
    /* The last tile repeats the last key, which changes no maximum. */
    for (int64_t i = keys; i % TILE_ROWS; i++)
        memcpy(w->k + i * j->pitch, w->k + (keys - 1) * j->pitch,
               (size_t)j->pitch * sizeof(float));
}

static void store_outputs(const job *j, const workspace *w, const strip *t, int64_t row0,
                          int64_t count, int64_t column0)
{
    const sdi_mat *out = &j->a->out;
    for (int i = 0; i < QUERY_VECS; i++) {
        const vec factor = vec_div(vec_set(1), t->sum[i]);
        for (int64_t c = 0; c < j->a->d; c++) {
            float *at = t->o + c * STRIP + i * VEC;
            vec_storeu(at, vec_mul(vec_loadu(at), factor));
        }
    }
    for (int64_t i = 0; i < count; i += 8) {
        transpose_out(t->o + i, j->a->d, w->row, j->pitch);
        for (int64_t r = 0; r < SDI_MIN(count - i, 8); r++)
            elements_narrow(elements_at(out, row0 + i + r, column0), out->type,
                            w->row + r * j->pitch, j->a->d);
    }
}

static void start_strip(const job *j, const workspace *w, strip *t, int64_t index,
                        int64_t query0)
{
    t->q = w->q + index * STRIP * j->a->d;
    t->o = w->o + index * STRIP * j->rows;
    t->query0 = query0;
    for (int i = 0; i < QUERY_VECS; i++) {
        t->max[i] = vec_set(-INFINITY);
        t->sum[i] = vec_set(0);
    }
    memset(t->o, 0, (size_t)(STRIP * j->rows) * sizeof(float));
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
        for (int64_t i = 0; i < strips; i++)
            if (!a->causal || key0 < t[i].query0 + STRIP)
                attend(j, &w, &t[i], key0, keys);
    }
    for (int64_t i = 0; i < strips; i++)
        store_outputs(j, &w, &t[i], image * a->tq + t[i].query0,
                      SDI_MIN(a->tq - t[i].query0, STRIP), column0);
    fpu_leave(callers);
}

static void attention(const sdi_exec *exec, const sdi_attention *a, sdi_dtype operand)
{
    job j = job_of(exec, a, operand);
    const int64_t count = a->b * a->heads * sdi_pieces(a->tq, j.strips * STRIP);
    const double work = (double)(a->b * a->heads * a->tq) * (double)(a->tk * a->d) / 4;
    sdi_parallel_work(exec, count, work, attention_piece, &j);
}

static size_t attention_scratch(const sdi_attention *a, int32_t workers)
{
    return job_of(NULL, a, SDI_F32).scratch * (size_t)workers;
}
