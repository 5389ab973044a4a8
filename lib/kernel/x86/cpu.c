/* SPDX-License-Identifier: MIT
 *
 * What CPU and operating system allow. A CPUID bit alone is not enough: the system must save the
 * registers (XGETBV), and AMX tiles must be asked for (arch_prctl).
 */
#define _GNU_SOURCE
#include "kernel/x86/bf16.h"

#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Bits of XCR0: which registers the system saves. */
enum {
    XCR0_AVX = 0x6,       // xmm, ymm
    XCR0_AVX512 = 0xe6,   // and k, upper zmm, zmm16-31
    XCR0_AMX = 0x60000    // tile configuration, tile data
};

typedef struct cpuid_regs {
    uint32_t eax, ebx, ecx, edx;
} cpuid_regs;

static cpuid_regs cpuid(uint32_t leaf, uint32_t subleaf)
{
    cpuid_regs r = {0};
    if (!__get_cpuid_count(leaf, subleaf, &r.eax, &r.ebx, &r.ecx, &r.edx))
        r = (cpuid_regs){0}; // the leaf does not exist
    return r;
}

static uint32_t enabled_registers(void)
{
    uint32_t eax, edx;
    __asm__ volatile("xgetbv" : "=a"(eax), "=d"(edx) : "c"(0));
    return eax;
}

static int has_all(uint32_t value, uint32_t bits)
{
    return (value & bits) == bits;
}

/* Linux gives tile data to a process that asks; a refusal (old kernel, seccomp, small signal
 * stack) means that there is no AMX here. */
static int request_tiles(void)
{
#if defined(__linux__) && defined(SYS_arch_prctl)
    enum { ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_XTILEDATA = 18 };
    return syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0;
#else
    return 0;
#endif
}

uint32_t sdi_x86_sets_available(void)
{
    uint32_t sets = 0;
    const cpuid_regs one = cpuid(1, 0), seven = cpuid(7, 0), seven1 = cpuid(7, 1);

    if (!(one.ecx & bit_OSXSAVE))
        return sets;
    const uint32_t xcr0 = enabled_registers();
#ifdef SDI_BUILD_AVX2
    if (!has_all(one.ecx, bit_AVX | bit_FMA | bit_F16C) || !(seven.ebx & bit_AVX2) ||
        !has_all(xcr0, XCR0_AVX))
        return sets;
    sets |= SDI_SET_AVX2;
#endif
#ifdef SDI_BUILD_AVX512
    if (!has_all(seven.ebx, bit_AVX512F | bit_AVX512BW | bit_AVX512VL | bit_AVX512DQ) ||
        !has_all(xcr0, XCR0_AVX512))
        return sets;
    sets |= SDI_SET_AVX512;
#endif
#ifdef SDI_BUILD_AVX512BF16
    if (!(seven1.eax & 1u << 5)) // AVX512_BF16
        return sets;
    sets |= SDI_SET_AVX512_BF16;
#endif
#ifdef SDI_BUILD_AMX
    if (!has_all(seven.edx, 1u << 22 | 1u << 24) || // AMX-BF16, AMX-TILE
        !has_all(xcr0, XCR0_AMX) || !request_tiles() || !sdi_x86_amx_works())
        return sets;
    sets |= SDI_SET_AMX_BF16;
#endif
    return sets;
}
