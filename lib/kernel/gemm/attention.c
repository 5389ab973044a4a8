/* SPDX-License-Identifier: MIT
 *
 * Attention in tiles of 64 queries x 128 keys of one head with a running softmax (Milakov and
 * Gimelshein 2018; Dao et al. 2022, without the recomputation): when a tile raises a query's
 * maximum, what was summed for it is scaled down. Products by sgemm; in the bf16 version q, k and v
 * are rounded first, probabilities stay as they are.
 */
#include "kernel/gemm/gemm.h"
#include "kernel/gemm/product.h"
#include "kernel/gemm/vector.h"
#include "kernel/parallel.h"

#include <math.h>

enum { QUERIES = 64, KEYS = 128 };

typedef struct job {
    const sdi_exec *exec;
    const sdi_attention *a;
    sdi_dtype operand;
} job;

/* Of one worker. q, k, v hold rows that are not used where they are. */
typedef struct scratch {
    float *scores;      // [QUERIES][KEYS]
    float *sums;        // [QUERIES][d]
    float *max, *total; // [QUERIES]
    float *q, *k, *v;   // [QUERIES][d], [KEYS][d] twice
} scratch;

static size_t scratch_bytes(const sdi_attention *a)
{
    const int64_t floats = QUERIES * (KEYS + 2) + (2 * QUERIES + 2 * KEYS) * a->d;
    return (size_t)floats * sizeof(float);
}

size_t sdi_k_attention_scratch_gemm(const sdi_attention *a, int32_t workers)
{
    return sdi_scratch_round(scratch_bytes(a)) * (size_t)workers;
}

/* Rows of one head as operands, and their pitch. */
static const float *head_rows(const job *j, const sdi_mat *m, int64_t row0, int64_t rows,
                              int64_t column, float *buffer, int64_t *pitch)
{
    if (m->type == SDI_F32 && j->operand == SDI_F32) {
        *pitch = m->ld;
        return sdi_row_read(m, row0, column, j->a->d, NULL);
    }
    *pitch = j->a->d;
    for (int64_t r = 0; r < rows; r++)
        sdi_row_operand(m, row0 + r, column, j->a->d, j->operand, buffer + r * j->a->d);
    return buffer;
}

/* Scores of one query to probabilities (without the divisor); scales its sums when its maximum
 * rises. */
static void soften(const scratch *s, int64_t query, int64_t keys, int64_t visible, int64_t d)
{
    float *scores = s->scores + query * KEYS, *sums = s->sums + query * d;
    const float tile_max = sdi_max_row(scores, visible);
    const float max = SDI_MAX(s->max[query], tile_max);
    if (max > s->max[query]) {
        const float shrink = expf(s->max[query] - max);
        for (int64_t c = 0; c < d; c++)
            sums[c] *= shrink;
        s->total[query] *= shrink;
        s->max[query] = max;
    }
    s->total[query] += sdi_exp_row(scores, visible, max);
    for (int64_t i = visible; i < keys; i++)
        scores[i] = 0;
}

/* Adds keys [key0, key0 + keys) to the sums of queries [query0, query0 + queries). */
static void attend_tile(const job *j, const scratch *s, sdi_gemm_block *g, int64_t image,
                        int64_t column, int64_t query0, int64_t key0)
{
    const sdi_attention *a = j->a;
    const int64_t keys = g->n;
    int64_t k_pitch, v_pitch;
    const float *k = head_rows(j, &a->k, image * a->tk + key0, keys, column, s->k, &k_pitch);
    const float *v = head_rows(j, &a->v, image * a->tk + key0, keys, column, s->v, &v_pitch);
    g->b = k;
    g->ldb = k_pitch;
    sdi_gemm(g);
    for (int64_t query = 0; query < g->m; query++) {
        const int64_t visible =
            a->causal ? SDI_MAX(0, SDI_MIN(keys, query0 + query + 1 - key0)) : keys;
        soften(s, query, keys, visible, a->d);
    }
    const sdi_gemm_block weighted = {.m = g->m, .n = a->d, .k = keys, .a = s->scores, .lda = KEYS,
                                     .b = v, .ldb = v_pitch, .alpha = 1, .beta = 1, .c = s->sums,
                                     .ldc = a->d};
    sdi_gemm(&weighted);
}

static scratch scratch_of(const job *j, int32_t worker)
{
    const int64_t d = j->a->d;
    scratch s;
    s.scores = sdi_scratch_of(j->exec, scratch_bytes(j->a), worker);
    s.max = s.scores + QUERIES * KEYS;
    s.total = s.max + QUERIES;
    s.sums = s.total + QUERIES;
    s.q = s.sums + QUERIES * d;
    s.k = s.q + QUERIES * d;
    s.v = s.k + KEYS * d;
    return s;
}

static void finish(const sdi_attention *a, const scratch *s, int64_t row0, int64_t queries,
                   int64_t column)
{
    for (int64_t query = 0; query < queries; query++) {
        float *sums = s->sums + query * a->d;
        const float scale = 1 / s->total[query];
        for (int64_t c = 0; c < a->d; c++)
            sums[c] *= scale;
        sdi_row_write(&a->out, row0 + query, column, a->d, sums);
    }
}

static void attention_piece(void *argument, int64_t index, int32_t worker)
{
    const job *j = argument;
    const sdi_attention *a = j->a;
    const scratch s = scratch_of(j, worker);
    const int64_t blocks = sdi_pieces(a->tq, QUERIES);
    const int64_t query0 = index % blocks * QUERIES;
    const int64_t queries = SDI_MIN(QUERIES, a->tq - query0);
    const int64_t column = index / blocks % a->heads * a->d;
    const int64_t image = index / blocks / a->heads;
    const int64_t row0 = image * a->tq + query0;
    const int64_t end = a->causal ? SDI_MIN(query0 + queries, a->tk) : a->tk;
    for (int64_t query = 0; query < queries; query++) {
        s.max[query] = -INFINITY;
        s.total[query] = 0;
    }
    memset(s.sums, 0, (size_t)(queries * a->d) * sizeof *s.sums);
    sdi_gemm_block g = {.m = queries, .k = a->d, .b_transposed = 1, .alpha = a->scale,
                        .c = s.scores, .ldc = KEYS};
    g.a = head_rows(j, &a->q, row0, queries, column, s.q, &g.lda);
    for (int64_t key0 = 0; key0 < end; key0 += KEYS) {
        g.n = SDI_MIN(KEYS, end - key0);
        attend_tile(j, &s, &g, image, column, query0, key0);
    }
    finish(a, &s, row0, queries, column);
}

static void attention(const sdi_exec *exec, const sdi_attention *a, sdi_dtype operand)
{
    job j = {exec, a, operand};
    const int64_t count = a->b * a->heads * sdi_pieces(a->tq, QUERIES);
    const double work = (double)(a->b * a->heads * a->tq) * (double)(a->tk * (a->d / 8 + 4));
    sdi_parallel_work(exec, count, work, attention_piece, &j);
}

void sdi_k_attention_f32_gemm(const sdi_exec *exec, const sdi_attention *a)
{
    attention(exec, a, SDI_F32);
}

void sdi_k_attention_bf16_gemm(const sdi_exec *exec, const sdi_attention *a)
{
    attention(exec, a, SDI_BF16);
}
