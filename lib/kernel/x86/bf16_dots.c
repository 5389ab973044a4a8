/* SPDX-License-Identifier: MIT
 *
 * Where vdpbf16ps pays. It issues once a cycle on AMD's cores (Zen 4 and later: 1.9 times the fp32
 * rate, measured), but once in two cycles on Intel's, where it does no better than fp32. The maker
 * decides, not a timing: the same machine must always choose the same arithmetic.
 */
#include "kernel/x86/bf16.h"

#include <string.h>

int sdi_x86_bf16_dots_are_fast(const x86_cpu *cpu)
{
    return (sdi_x86_sets_of(cpu) & SDI_SET_AVX512_BF16) &&
           memcmp(cpu->maker, "AuthenticAMD", sizeof cpu->maker) == 0;
}
