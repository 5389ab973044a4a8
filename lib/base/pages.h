/* SPDX-License-Identifier: MIT
 *
 * Advice to the system on memory that is a mapped file.
 */
#ifndef SDI_BASE_PAGES_H
#define SDI_BASE_PAGES_H

#include <stddef.h>

/* A range of a read-only mapping is about to be read as a whole, or will not be needed soon: its
 * pages then no longer count as the process's memory, and come back when they are touched. Short
 * ranges are left alone. Never for memory that is not a file's: its contents would be lost. */
void sdi_pages_expect(const void *begin, size_t size);
void sdi_pages_release(const void *begin, size_t size);

#endif
