/* SPDX-License-Identifier: MIT
 *
 * Tables, numbers, judging.
 */
#include "harness.h"

#include <stdio.h>
#include <stdlib.h>

enum { TABLES_MAX = 64 };

static uint64_t seed = 1, state;
static char case_text[512];

static kt_table tables[TABLES_MAX];
static int table_count;
static const kt_op *tested;

static kt_table *new_table(uint32_t set)
{
    assert_true(table_count < TABLES_MAX);
    kt_table *t = &tables[table_count++];
    memset(t, 0, sizeof *t);
    t->set = set;
    return t;
}

/* All tables on this machine. */
static void make_tables(void)
{
    const uint32_t available = sdi_kernel_sets_available(SDI_SET_ALL);
    for (int type = 0; type < 3; type++) { // f32, bf16, bf16x3
        uint32_t mask = 0;
        for (int bit = -1; bit < 31; bit++) {
            const uint32_t set = bit < 0 ? 0 : (uint32_t)1 << bit;
            if (bit >= 0 && !(available & set))
                continue;
            mask |= set;
            sdi_kernels k;
            sdi_kernels_init(&k, mask, type == 1 ? SDI_BF16 : SDI_F32);
            if (type == 2)
                sdi_kernels_split(&k, mask);
            if (type == 2 && !k.split)
                continue;
            kt_table *t = new_table(set);
            t->k = k;
            snprintf(t->label, sizeof t->label, "%s %s", k.names, sdi_kernels_compute(&k));
        }
    }
}

sdi_dtype kt_type(const kt_table *t, kt_role role)
{
    static const sdi_dtype types[] = {SDI_F32, SDI_F16, SDI_BF16};
    if (t->k.operand == SDI_F32 && t->set > SDI_SET_OPENBLAS)
        return SDI_F32;
    if (kt_below(3) == 0)
        return SDI_F32;
    return types[kt_below(role == KT_STREAM && t->set > SDI_SET_OPENBLAS ? 2 : 3)];
}

/* xorshift64* (Vigna 2016). */
uint64_t kt_random(void)
{
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return state * 0x2545f4914f6cdd1d;
}

int64_t kt_below(int64_t limit)
{
    return (int64_t)(kt_random() >> 1) % limit;
}

double kt_uniform(double low, double high)
{
    return low + (high - low) * (double)(kt_random() >> 11) * 0x1p-53;
}

void kt_case(const char *format, ...)
{
    va_list list;
    va_start(list, format);
    vsnprintf(case_text, sizeof case_text, format, list);
    va_end(list);
}

const char *kt_case_text(void)
{
    return case_text;
}

double kt_rounding(sdi_dtype type, double value)
{
    switch (type) {
    case SDI_F16: return fabs(value) < 65504 ? KT_U16 * fabs(value) + 0x1p-25 : INFINITY;
    case SDI_BF16: return KT_UB16 * fabs(value) + 0x1p-126;
    default: return KT_U32 * fabs(value) + 0x1p-126;
    }
}

double kt_sum_k(int64_t terms)
{
    return 8 + 3 * sqrt((double)terms);
}

void kt_expect(kt_table *t, int64_t row, int64_t column, double actual, double expected,
               double bound)
{
    const double error = fabs(actual - expected);
    if (!(error <= bound))
        fail_msg("%s, %s, seed %llu: [%lld][%lld] is %.9g, expected %.9g, off by %.3g, bound %.3g",
                 case_text, t->label, (unsigned long long)seed, (long long)row, (long long)column,
                 actual, expected, error, bound);
    if (bound > 0 && isfinite(bound) && error / bound > t->worst)
        t->worst = error / bound;
}

double kt_operand(const kt_table *t, double value)
{
    return t->k.operand == SDI_BF16 ? (double)sdi_bf16_to_f32(sdi_f32_to_bf16((float)value))
                                    : value;
}

double kt_product_error(const kt_table *t, double a, double b)
{
    /* A low part is at most 2^-8 of its number and rounded by 2^-9 of itself, or taken for zero
     * where it is denormal; low times low is left out. */
    return t->k.split ? 0x1p-15 * fabs(a * b) + 0x1p-126 * (fabs(a) + fabs(b)) : 0;
}

double kt_act(sdi_act act, double x)
{
    switch (act) {
    case SDI_ACT_SILU: return x / (1 + exp(-x));
    case SDI_ACT_GELU:
    case SDI_ACT_GEGLU: return x * erfc(-x / sqrt(2.0)) / 2;
    case SDI_ACT_QUICK_GELU: return x / (1 + exp(-1.702 * x));
    case SDI_ACT_RELU: return fmax(x, 0);
    case SDI_ACT_NONE: break;
    }
    return x;
}

double kt_act_bound(sdi_act act, double x, double error)
{
    return act == SDI_ACT_NONE ? error : 1.13 * error + 16 * KT_U32 * fabs(x);
}

void kt_sample(int64_t rows, int64_t columns, int64_t limit, kt_visit visit, void *user)
{
    if (rows * columns <= limit) {
        for (int64_t row = 0; row < rows; row++)
            for (int64_t column = 0; column < columns; column++)
                visit(user, row, column);
        return;
    }
    visit(user, 0, 0);
    visit(user, 0, columns - 1);
    visit(user, rows - 1, 0);
    visit(user, rows - 1, columns - 1);
    for (int64_t i = 0; i < limit; i++)
        visit(user, kt_below(rows), kt_below(columns));
}

/* Sets that this machine lacks, by name, so that a green run does not look like a proof of them. */
static void list_what_is_not_run(void)
{
    static const char *const names[] = {"openblas", "avx2", "avx512", "avx512bf16", "amx"};
    for (size_t i = 0; i < SDI_COUNT(names); i++)
        if (!sdi_kernel_sets_available((uint32_t)1 << i))
            print_message("%s: kernel set %s NOT RUN: this machine or build lacks it\n",
                          tested->name, names[i]);
}

static void test_every_table_is_within_the_bounds(void **unused)
{
    for (int i = 0; i < table_count; i++) {
        tested->test(&tables[i]);
        print_message("%s, %s: worst error/bound %.3f\n", tested->name, tables[i].label,
                      tables[i].worst);
    }
    list_what_is_not_run();
}

/* One line: time, GFLOP/s and share of the sgemm rate or GB/s, ratio to the reference. */
static void print_time(const kt_table *t, double seconds, const kt_work *work, double reference)
{
    printf("%-40s %-34s %10.1f us", case_text, t->label, seconds * 1e6);
    if (work->flops > 0)
        printf(" %8.1f GFLOP/s %5.1f %% of sgemm", work->flops * 1e-9 / seconds,
               work->flops * 1e-7 / seconds / kt_sgemm_rate());
    else
        printf(" %8.1f GB/s", work->bytes * 1e-9 / seconds);
    if (reference > 0)
        printf(" %7.1f x ref", reference / seconds);
    printf("\n");
    fflush(stdout);
}

static void bench(const kt_op *op)
{
    printf("sgemm 2048 cubed: %.1f GFLOP/s\n", kt_sgemm_rate());
    for (size_t index = 0; index < op->bench_cases; index++) {
        double reference = 0;
        for (int i = 0; i < table_count; i++) {
            kt_work work = {0, 0};
            const double seconds = op->bench(&tables[i], index, &work);
            if (!tables[i].set)
                reference = seconds;
            if (seconds > 0)
                print_time(&tables[i], seconds, &work, reference);
        }
    }
}

int kt_main(int argc, char **argv, const kt_op *op)
{
    int timed = 0;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--bench") == 0)
            timed = 1;
        else if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc)
            seed = strtoull(argv[++i], NULL, 10);
    }
    state = 2 * seed + 1; // never 0
    tested = op;
    make_tables();
    if (timed) {
        bench(op);
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_table_is_within_the_bounds),
    };
    return cmocka_run_group_tests_name(op->name, tests, NULL, NULL);
}
