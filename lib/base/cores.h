/* SPDX-License-Identifier: MIT
 *
 * How many threads are worth having here.
 */
#ifndef SDI_BASE_CORES_H
#define SDI_BASE_CORES_H

#include <stdint.h>

/* Physical cores that this process may run on (affinity), no more than its control groups' quota
 * of processor time allows (rounded up); at least 1. */
int32_t sdi_usable_cores(void);

/* The parts of it, with the root of the file system as an argument for tests ("" for the real one).
 * Distinct cores among `count` CPUs, as /sys names them: a CPU that it does not name is a core. */
int32_t sdi_distinct_cores(const char *root, const int32_t *cpus, int32_t count);
/* Cores' worth of time that control groups (version 1 or 2) leave; 0: no limit known. */
int32_t sdi_quota_cores(const char *root);

#endif
