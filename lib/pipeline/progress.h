/* SPDX-License-Identifier: MIT
 *
 * Progress of a call as a fraction of its floating-point work.
 */
#ifndef SDI_PIPELINE_PROGRESS_H
#define SDI_PIPELINE_PROGRESS_H

#include "stablediff/pipeline.h"

typedef struct sdi_progress {
    sdiff_progress_fn fn;
    void *user;
    double done, total; // floating-point operations
    double start, told; // seconds
    sdiff_progress state;
} sdi_progress;

void sdi_progress_init(sdi_progress *progress, sdiff_progress_fn fn, void *user, double total);
/* An sdi_work_fn: tells the host, but not more often than is useful to look at. */
int sdi_progress_work(void *progress, double flops);
/* Tells of the end, however the work was counted: sums of flops round, adaptive samplers vary. */
int sdi_progress_finish(sdi_progress *progress);

#endif
