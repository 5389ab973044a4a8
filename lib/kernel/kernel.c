/* SPDX-License-Identifier: MIT
 *
 * Which kernel sets there are, and filling the table from them in rising order.
 */
#include "kernel/kernel.h"

#include "kernel/gemm/gemm.h"
#include "kernel/ref/ref.h"
#include "kernel/x86/x86.h"

/* In the order of their bits. */
static const char *const set_names[] = {"openblas", "avx2", "avx512", "avx512bf16", "amx"};

/* The table's name for each mask of the five sets. */
#define WITH_OPENBLAS(name) "ref" name, "ref+openblas" name
#define WITH_AVX2(name) WITH_OPENBLAS(name), WITH_OPENBLAS("+avx2" name)
#define WITH_AVX512(name) WITH_AVX2(name), WITH_AVX2("+avx512" name)
#define WITH_AVX512_BF16(name) WITH_AVX512(name), WITH_AVX512("+avx512bf16" name)
static const char *const table_names[] = {WITH_AVX512_BF16(""), WITH_AVX512_BF16("+amx")};

uint32_t sdi_kernel_sets_available(uint32_t mask)
{
    return (mask & SDI_SET_OPENBLAS) | sdi_x86_sets_available(mask);
}

static int word_is(const char *word, size_t length, const char *name)
{
    return strlen(name) == length && memcmp(word, name, length) == 0;
}

static int set_of(const char *word, size_t length, uint32_t *set)
{
    if (word_is(word, length, "all")) {
        *set = SDI_SET_ALL;
        return 1;
    }
    if (word_is(word, length, "ref")) {
        *set = 0;
        return 1;
    }
    for (size_t i = 0; i < SDI_COUNT(set_names); i++) {
        if (word_is(word, length, set_names[i])) {
            *set = (uint32_t)1 << i;
            return 1;
        }
    }
    return 0;
}

sdiff_status sdi_kernel_sets_parse(const sdi_env *env, const char *list, uint32_t *mask)
{
    *mask = 0;
    for (const char *word = list;; word++) {
        const size_t length = strcspn(word, ",");
        uint32_t set = 0;
        if (!set_of(word, length, &set))
            return sdi_fail(env, SDIFF_ERROR_INVALID_ARGUMENT,
                            "kernel set '%.*s' in '%.100s': known are ref, openblas, avx2, avx512, "
                            "avx512bf16, amx and all, separated by commas",
                            (int)SDI_MIN(length, 40), word, list);
        *mask |= set;
        word += length;
        if (!*word)
            return SDIFF_OK;
    }
}

void sdi_kernels_init(sdi_kernels *kernels, uint32_t mask, sdi_dtype operand)
{
    const uint32_t used = sdi_kernel_sets_available(mask);
    sdi_kernels_init_ref(kernels, operand);
    if (used & SDI_SET_OPENBLAS)
        sdi_kernels_init_gemm(kernels);
    sdi_kernels_init_x86(kernels, used);
    kernels->names = table_names[used % SDI_COUNT(table_names)];
}

void sdi_kernels_split(sdi_kernels *kernels, uint32_t mask)
{
    sdi_kernels_split_x86(kernels, sdi_kernel_sets_available(mask));
}

int sdi_kernels_prefer_split(uint32_t mask)
{
    /* Tiles multiply bf16 at much more than three times the fp32 rate; vdpbf16ps at twice. */
    return (sdi_kernel_sets_available(mask) & SDI_SET_AMX_BF16) != 0;
}

const char *sdi_kernels_compute(const sdi_kernels *kernels)
{
    if (kernels->operand == SDI_BF16)
        return "bf16";
    return kernels->split ? "bf16x3" : "f32";
}

static float to_bf16_and_back(float x)
{
    return sdi_bf16_to_f32(sdi_f32_to_bf16(x));
}

void sdi_kernels_round(const sdi_kernels *kernels, float *weights, int64_t count)
{
    if (kernels->operand != SDI_BF16 && !kernels->split)
        return;
    for (int64_t i = 0; i < count; i++) {
        const float high = to_bf16_and_back(weights[i]);
        weights[i] = kernels->split ? high + to_bf16_and_back(weights[i] - high) : high;
    }
}

int sdi_kernels_prefer_bf16(uint32_t mask)
{
    const x86_cpu cpu = sdi_x86_cpu();
    return sdi_kernels_prefer_bf16_on(sdi_kernel_sets_available(mask),
                                      sdi_x86_bf16_dots_are_fast(&cpu));
}

int sdi_kernels_prefer_bf16_on(uint32_t sets, int dots_are_fast)
{
    /* Tile products are several times as fast as fp32, and the dot product of AVX-512 is twice as
     * fast where the CPU issues one in every cycle. */
    return (sets & SDI_SET_AMX_BF16) != 0 || ((sets & SDI_SET_AVX512_BF16) != 0 && dots_are_fast);
}
