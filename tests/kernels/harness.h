/* SPDX-License-Identifier: MIT
 *
 * The proving ground of kernels: every table of kernel sets (the reference, then each available set
 * on top of all lower ones, for both operand types) runs each case, and each result is compared
 * with a calculation in double of the test's own, within a bound that the test derives.
 *
 * Matrices are hostile: NaN between the rows and around, odd pitches, starts off alignment. What
 * may not be written must keep its bytes. One and several threads must give the same bits.
 */
#ifndef TEST_KERNELS_HARNESS_H
#define TEST_KERNELS_HARNESS_H

#include "support.h"

#include "kernel/kernel.h"

#include <math.h>

/* Unit round-offs. */
#define KT_U32 0x1p-24
#define KT_U16 0x1p-11
#define KT_UB16 0x1p-8

typedef struct kt_table {
    sdi_kernels k;
    uint32_t set;    // the highest set, 0: reference
    char label[64];  // "ref+openblas bf16"
    double worst;    // largest error/bound so far
} kt_table;

/* An operation's program: `test` runs all its cases on one table; `bench` times its case `index` on
 * one table (kt_time) and says what it did, or returns 0 to leave it out. */
typedef struct kt_work {
    double flops, bytes; // one of them
} kt_work;
typedef struct kt_op {
    const char *name;
    void (*test)(kt_table *t);
    size_t bench_cases;
    double (*bench)(kt_table *t, size_t index, kt_work *work);
} kt_op;
/* main(): runs the cases, or with --bench the timings, on all tables; --seed N. */
int kt_main(int argc, char **argv, const kt_op *op);

/* A random type that an activation of this role may have by kernel.h: float32 for f32 compute; the
 * sets below AVX2 take any. */
typedef enum kt_role { KT_OPERAND, KT_STREAM, KT_RESULT } kt_role;
sdi_dtype kt_type(const kt_table *t, kt_role role);

/* ---- random numbers --------------------------------------------------------------------- */
uint64_t kt_random(void);
int64_t kt_below(int64_t limit);
double kt_uniform(double low, double high);

/* ---- matrices --------------------------------------------------------------------------- */
typedef struct kt_mat {
    sdi_mat m;
    int64_t rows, columns;
    uint8_t *base;
    size_t bytes;
} kt_mat;

typedef enum kt_fill {
    KT_RANDOM, // in [-1, 1]
    KT_MAX,    // all 1.5
    KT_MIN,    // all -1.5
    KT_SPARSE, // mostly 0, some in [-30, 30]
    KT_TINY,   // about 1e-30 or the type's smallest normal
    KT_FILLS
} kt_fill;

/* All bytes 0xff (NaN in every type), rows padded to multiples of `multiple` after `padding` more
 * elements, the start `offset` elements off a cache line. */
kt_mat kt_mat_new(int64_t rows, int64_t columns, sdi_dtype type, int64_t multiple, int64_t padding,
                  int64_t offset);
kt_mat kt_mat_random_layout(const kt_table *t, int64_t rows, int64_t columns, sdi_dtype type);
kt_mat kt_mat_copy(const kt_mat *from);
void kt_mat_free(kt_mat *m);
void kt_mat_fill(kt_mat *m, kt_fill fill);
double kt_get(const kt_mat *m, int64_t row, int64_t column);
void kt_put(kt_mat *m, int64_t row, int64_t column, double value);
float *kt_floats(int64_t count, kt_fill fill); // free()

/* ---- running ---------------------------------------------------------------------------- */
typedef void (*kt_call)(const kt_table *t, const sdi_exec *exec, const void *arguments);
/* Calls with `scratch` bytes of garbage and 1, 3 and 4 threads; `out` must come out the same each
 * time (it is put back to its state before), with no byte beside its numbers or behind the scratch
 * changed. */
void kt_run(const kt_table *t, kt_call call, const void *arguments, kt_mat *out,
            size_t (*scratch)(const kt_table *t, const void *arguments, int32_t workers));

/* ---- judging ---------------------------------------------------------------------------- */
/* What is being tested, for the message of a failure. */
void kt_case(const char *format, ...) SDI_PRINTF(1, 2);
const char *kt_case_text(void);
/* Bound for rounding `value` to a type when it is stored; infinite where it may overflow. */
double kt_rounding(sdi_dtype type, double value);
/* k of |error| <= k u sum|terms| for a sum of `terms` rounded products: rounding errors add up as a
 * random walk (Higham and Mary 2019, "A new approach to probabilistic rounding error analysis"). */
double kt_sum_k(int64_t terms);
void kt_expect(kt_table *t, int64_t row, int64_t column, double actual, double expected,
               double bound);
/* The operand of a product as the table takes it. */
double kt_operand(const kt_table *t, double value);
/* Bound for a product of two such operands, before it is summed. */
double kt_product_error(const kt_table *t, double a, double b);
double kt_act(sdi_act act, double x);
/* Error of act(x) when x is off by `error`: slopes are at most 1.13, 16 u |x| for the function. */
double kt_act_bound(sdi_act act, double x, double error);
/* Visits all elements, or about `limit` of them with the corners, at random. */
typedef void (*kt_visit)(void *user, int64_t row, int64_t column);
void kt_sample(int64_t rows, int64_t columns, int64_t limit, kt_visit visit, void *user);

/* ---- timing (--bench) ------------------------------------------------------------------- */
double kt_sgemm_rate(void); // GFLOP/s of a threaded sgemm of 2048 cubed, measured once
/* Best time of a call on all cores, in seconds. */
double kt_time(const kt_table *t, kt_call call, const void *arguments,
               size_t (*scratch)(const kt_table *t, const void *arguments, int32_t workers));

#endif
