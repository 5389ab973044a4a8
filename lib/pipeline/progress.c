/* SPDX-License-Identifier: MIT
 *
 * Progress of a call.
 */
#include "pipeline/progress.h"

#include "base/clock.h"

#include <string.h>

static const double interval = 0.04; // seconds between two calls of the host

void sdi_progress_init(sdi_progress *progress, sdiff_progress_fn fn, void *user, double total)
{
    memset(progress, 0, sizeof *progress);
    progress->fn = fn;
    progress->user = user;
    progress->total = total;
    progress->start = sdi_clock_seconds();
    progress->state.struct_size = sizeof progress->state;
}

int sdi_progress_work(void *argument, double flops)
{
    sdi_progress *p = argument;
    p->done += flops;
    if (!p->fn)
        return 0;
    const double now = sdi_clock_seconds();
    const int finished = p->done >= p->total;
    if (!finished && now - p->told < interval)
        return 0;
    p->told = now;
    p->state.seconds = now - p->start;
    p->state.fraction = p->total > 0 && !finished ? p->done / p->total : 1;
    return p->fn(p->user, &p->state);
}
