/* SPDX-License-Identifier: MIT
 *
 * Times each layer shape of SD 1.5's U-Net (512x512, guided) with each kernel set, beside the rate
 * of OpenBLAS's sgemm, or of AMX tiles where they are used, measured in the same run:
 *
 *     bench_unet_layers [--kernels LIST] [--compute f32|bf16|bf16x3] [--threads N]
 *
 * Without --kernels every available set is run on top of all lower ones, without --compute all
 * types, bf16x3 where a set has it. The sum of shapes by their counts is a step without what is
 * between the layers.
 */
#include "layer.h"

#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct total {
    double seconds, flops;
} total;

/* What times are compared with. */
typedef struct limit {
    const char *name;
    double rate;
} limit;

static void print_total(const char *name, const total *t, const limit *most)
{
    printf("  %-44s %9.1f ms", name, t->seconds * 1e3);
    if (t->flops > 0)
        printf(" %8.1f GFLOP %8.1f GFLOP/s %6.1f %% of %s", t->flops * 1e-9,
               t->flops * 1e-9 / t->seconds, 100 * t->flops / t->seconds / most->rate, most->name);
    printf("\n");
}

static void print_layer(const bench *b, const layer *l, double seconds, const limit *most)
{
    char name[80];
    const double flops = bench_flops(l);
    bench_name(l, name, sizeof name);
    printf("%3d x %-42s %9.3f ms", l->count, name, seconds * 1e3);
    if (flops > 0)
        printf(" %8.3f GFLOP %8.1f GFLOP/s %6.1f %% of %s\n", flops * 1e-9,
               flops * 1e-9 / seconds, 100 * flops / seconds / most->rate, most->name);
    else
        printf(" %24.1f GB/s\n", bench_bytes(l, b) * 1e-9 / seconds);
    fflush(stdout);
}

static limit measure_limit(const bench *b, uint32_t mask)
{
    const limit sgemm = {"sgemm", bench_sgemm_rate(&b->env)};
    if ((b->k.operand != SDI_BF16 && !b->k.split) ||
        !sdi_kernel_sets_available(mask & SDI_SET_AMX_BF16))
        return sgemm;
    printf("\nsgemm 4096 cubed: %.1f GFLOP/s\n", sgemm.rate * 1e-9);
    return (limit){"AMX", bench_amx_rate(b)};
}

typedef enum compute { F32, BF16, BF16X3, COMPUTES } compute;

static int run_table(bench *b, uint32_t mask, compute type)
{
    static const char *const kinds[] = {"linear", "conv", "attention", "group_norm", "layer_norm"};
    total totals[SDI_COUNT(kinds)] = {{0, 0}}, all = {0, 0};
    sdi_kernels_init(&b->k, mask, type == BF16 ? SDI_BF16 : SDI_F32);
    if (type == BF16X3)
        sdi_kernels_split(&b->k, mask);
    if (type == BF16X3 && !b->k.split)
        return 1;
    const limit most = measure_limit(b, mask);
    printf("\n%s, %s, %d threads; %s: %.1f GFLOP/s\n", b->k.names, sdi_kernels_compute(&b->k),
           sdi_pool_size(b->pool), most.name, most.rate * 1e-9);
    for (size_t i = 0; i < SDI_COUNT(layers); i++) {
        const layer *l = &layers[i];
        const double seconds = bench_layer(b, l);
        if (seconds < 0)
            return 0;
        print_layer(b, l, seconds, &most);
        total *const sums[] = {&totals[l->kind], &all};
        for (size_t s = 0; s < SDI_COUNT(sums); s++) {
            sums[s]->seconds += l->count * seconds;
            sums[s]->flops += l->count * bench_flops(l);
        }
    }
    for (size_t i = 0; i < SDI_COUNT(kinds); i++)
        print_total(kinds[i], &totals[i], &most);
    print_total("a guided step", &all, &most);
    return 1;
}

/* Runs `mask`, or with none every available set on top of the lower ones. */
static int run_sets(bench *b, const char *list, uint32_t mask, compute type)
{
    if (list)
        return run_table(b, mask, type);
    mask = 0;
    for (int bit = 0; bit < 31; bit++) {
        const uint32_t set = (uint32_t)1 << bit;
        if (!(sdi_kernel_sets_available(set) & set))
            continue;
        mask |= set;
        if (!run_table(b, mask, type))
            return 0;
    }
    return 1;
}

static int usage(const char *problem)
{
    fprintf(stderr, "%s\nusage: bench_unet_layers [--kernels LIST] [--compute f32|bf16|bf16x3] "
                    "[--threads N]\n", problem);
    return 2;
}

int main(int argc, char **argv)
{
    sdi_error error = {0};
    bench b = {.env = {.mem = sdi_mem_new(NULL), .error = &error}};
    static const char *const names[COMPUTES] = {"f32", "bf16", "bf16x3"};
    const char *list = NULL, *wanted = NULL;
    uint32_t mask = 0;
    int32_t threads = 0;
    for (int i = 1; i < argc; i += 2) {
        if (i + 1 == argc)
            return usage(argv[i]);
        if (strcmp(argv[i], "--kernels") == 0)
            list = argv[i + 1];
        else if (strcmp(argv[i], "--compute") == 0)
            wanted = argv[i + 1];
        else if (strcmp(argv[i], "--threads") == 0)
            threads = (int32_t)strtol(argv[i + 1], NULL, 10);
        else
            return usage(argv[i]);
    }
    if (list && sdi_kernel_sets_parse(&b.env, list, &mask) != SDIFF_OK)
        return usage(error.text);
    if (sdi_pool_new(&b.env, threads, NULL, NULL, &b.pool) != SDIFF_OK)
        return usage(error.text);
    int good = 1;
    for (int type = 0; type < COMPUTES && good; type++)
        if (!wanted || strcmp(wanted, names[type]) == 0)
            good = run_sets(&b, list, mask, (compute)type);
    sdi_pool_free(&b.env, b.pool);
    sdi_mem_unref(b.env.mem);
    return good ? 0 : usage(error.text);
}
