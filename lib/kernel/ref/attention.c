/* SPDX-License-Identifier: MIT
 *
 * Scaled dot-product attention (Vaswani et al. 2017, section 3.2), one query after the other:
 *
 *     s[j] = scale * sum_c q[c] k[j][c]
 *     p[j] = exp(s[j] - max s)
 *     out[c] = sum_j p[j] v[j][c] / sum_j p[j]
 *
 * over the keys that the query may see. In the bf16 version q, k, v and p are operands of products
 * and rounded; the divisor sums unrounded p.
 */
#include "kernel/parallel.h"
#include "kernel/ref/ref.h"

enum { QUERIES = 16 }; // a piece of work is so many queries of one head

typedef struct job {
    const sdi_exec *exec;
    const sdi_attention *a;
    sdi_dtype operand;
} job;

static size_t scratch_bytes(const sdi_attention *a)
{
    return (size_t)(a->tk + a->d) * sizeof(double);
}

size_t sdi_k_attention_scratch_ref(const sdi_attention *a, int32_t workers)
{
    return sdi_scratch_round(scratch_bytes(a)) * (size_t)workers;
}

static double operand(const job *j, const sdi_mat *m, int64_t row, int64_t column)
{
    return sdi_ref_operand(sdi_ref_get(m, row, column), j->operand);
}

/* One query: `row` of q and out, keys from `key0` on, columns of its head from `column0` on. */
static void attend(const job *j, int64_t row, int64_t key0, int64_t keys, int64_t column0,
                   double *p, double *q)
{
    const sdi_attention *a = j->a;
    for (int64_t c = 0; c < a->d; c++)
        q[c] = operand(j, &a->q, row, column0 + c);
    double max = -INFINITY;
    for (int64_t i = 0; i < keys; i++) {
        p[i] = 0;
        for (int64_t c = 0; c < a->d; c++)
            p[i] += q[c] * operand(j, &a->k, key0 + i, column0 + c);
        p[i] *= (double)a->scale;
        max = SDI_MAX(max, p[i]);
    }
    double sum = 0;
    for (int64_t i = 0; i < keys; i++) {
        p[i] = exp(p[i] - max);
        sum += p[i];
        p[i] = sdi_ref_operand(p[i], j->operand);
    }
    for (int64_t c = 0; c < a->d; c++)
        q[c] = 0;
    for (int64_t i = 0; i < keys; i++)
        for (int64_t c = 0; c < a->d; c++)
            q[c] += p[i] * operand(j, &a->v, key0 + i, column0 + c);
    for (int64_t c = 0; c < a->d; c++)
        sdi_ref_put(&a->out, row, column0 + c, q[c] / sum);
}

static void attention_piece(void *argument, int64_t index, int32_t worker)
{
    const job *j = argument;
    const sdi_attention *a = j->a;
    const int64_t blocks = sdi_pieces(a->tq, QUERIES);
    const int64_t query0 = index % blocks * QUERIES;
    const int64_t query1 = SDI_MIN(query0 + QUERIES, a->tq);
    const int64_t head = index / blocks % a->heads;
    const int64_t image = index / blocks / a->heads;
    double *p = sdi_scratch_of(j->exec, scratch_bytes(a), worker);
    for (int64_t query = query0; query < query1; query++)
        attend(j, image * a->tq + query, image * a->tk, a->causal ? query + 1 : a->tk,
               head * a->d, p, p + a->tk);
}

static void attention(const sdi_exec *exec, const sdi_attention *a, sdi_dtype type)
{
    job j = {exec, a, type};
    const int64_t count = a->b * a->heads * sdi_pieces(a->tq, QUERIES);
    const double work = 2.0 * (double)(a->b * a->heads * a->tq) * (double)(a->tk * a->d);
    sdi_parallel_work(exec, count, work, attention_piece, &j);
}

void sdi_k_attention_f32_ref(const sdi_exec *exec, const sdi_attention *a)
{
    attention(exec, a, SDI_F32);
}

void sdi_k_attention_bf16_ref(const sdi_exec *exec, const sdi_attention *a)
{
    attention(exec, a, SDI_BF16);
}
