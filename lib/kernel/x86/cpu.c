/* SPDX-License-Identifier: MIT
 *
 * What CPU and operating system allow. A CPUID bit alone is not enough: the system must save the
 * registers (XGETBV), and AMX tiles must be asked for (arch_prctl).
 */
#define _GNU_SOURCE
#include "kernel/x86/bf16.h"

#include <cpuid.h>
#include <string.h>
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

x86_cpu sdi_x86_cpu(void)
{
    x86_cpu c;
    memset(&c, 0, sizeof c);
    const cpuid_regs zero = cpuid(0, 0), one = cpuid(1, 0), seven = cpuid(7, 0);
    const uint32_t maker[3] = {zero.ebx, zero.edx, zero.ecx};
    memcpy(c.maker, maker, sizeof c.maker);
    c.one_ecx = one.ecx;
    c.seven_ebx = seven.ebx;
    c.seven_edx = seven.edx;
    c.seven1_eax = seven.eax >= 1 ? cpuid(7, 1).eax : 0;
    c.xcr0 = one.ecx & bit_OSXSAVE ? enabled_registers() : 0;
    if (cpuid(0x1d, 0).eax >= 1) { // the highest palette
        const cpuid_regs palette = cpuid(0x1d, 1);
        c.tiles = palette.ebx >> 16;
        c.tile_row_bytes = palette.ebx & 0xffff;
        c.tile_rows = palette.ecx & 0xffff;
    }
    c.product_k = cpuid(0x1e, 0).ebx & 0xff;
    c.product_row_bytes = cpuid(0x1e, 0).ebx >> 8 & 0xffff;
    return c;
}

/* Eight tiles of 16 rows of 64 bytes, and products of such. */
static int has_whole_tiles(const x86_cpu *c)
{
    return c->tiles >= 8 && c->tile_row_bytes >= 64 && c->tile_rows >= 16 && c->product_k >= 16 &&
           c->product_row_bytes >= 64;
}

uint32_t sdi_x86_sets_of(const x86_cpu *c)
{
    uint32_t sets = 0;
#ifdef SDI_BUILD_AVX2
    if (!has_all(c->one_ecx, bit_OSXSAVE | bit_AVX | bit_FMA | bit_F16C) ||
        !(c->seven_ebx & bit_AVX2) || !has_all(c->xcr0, XCR0_AVX))
        return sets;
    sets |= SDI_SET_AVX2;
#endif
#ifdef SDI_BUILD_AVX512
    if (!has_all(c->seven_ebx, bit_AVX512F | bit_AVX512BW | bit_AVX512VL | bit_AVX512DQ) ||
        !has_all(c->xcr0, XCR0_AVX512))
        return sets;
    sets |= SDI_SET_AVX512;
#endif
#ifdef SDI_BUILD_AVX512BF16
    if (!(c->seven1_eax & 1u << 5)) // AVX512_BF16
        return sets;
    sets |= SDI_SET_AVX512_BF16;
#endif
#ifdef SDI_BUILD_AMX
    if (!has_all(c->seven_edx, 1u << 22 | 1u << 24) || // AMX-BF16, AMX-TILE
        !has_all(c->xcr0, XCR0_AMX) || !has_whole_tiles(c))
        return sets;
    sets |= SDI_SET_AMX_BF16;
#endif
    return sets;
}

uint32_t sdi_x86_sets_available(uint32_t mask)
{
    const x86_cpu c = sdi_x86_cpu();
    uint32_t sets = sdi_x86_sets_of(&c) & mask;
#ifdef SDI_BUILD_AMX
    if ((sets & SDI_SET_AMX_BF16) && (!request_tiles() || !sdi_x86_amx_works()))
        sets &= ~(uint32_t)SDI_SET_AMX_BF16;
#endif
    return sets;
}
