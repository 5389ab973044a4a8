/* SPDX-License-Identifier: MIT
 *
 * Advice to the system on memory that is a mapped file.
 */
#define _GNU_SOURCE
#include "base/pages.h"

#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

enum { WORTH_ADVICE = 1 << 17 }; // bytes: a system call costs as much as touching a few pages

/* On the pages that touch the range, or only on those that lie in it. Failure is harmless. */
static void advise(const void *memory, size_t size, int inside, int advice)
{
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    const uintptr_t begin = (uintptr_t)memory, end = begin + size;
    const uintptr_t first = (inside ? begin + page - 1 : begin) / page * page;
    const uintptr_t last = (inside ? end : end + page - 1) / page * page;
    if (size >= WORTH_ADVICE && first < last)
        (void)madvise((void *)first, last - first, advice);
}

void sdi_pages_expect(const void *begin, size_t size)
{
#ifdef MADV_POPULATE_READ
    advise(begin, size, 0, MADV_POPULATE_READ);
#else
    advise(begin, size, 0, MADV_WILLNEED);
#endif
}

void sdi_pages_release(const void *begin, size_t size)
{
    advise(begin, size, 1, MADV_DONTNEED);
}
