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

static int tell(sdi_progress *p, double now, double fraction)
{
    p->told = now;
    p->state.seconds = now - p->start;
    p->state.fraction = fraction;
    return p->fn(p->user, &p->state);
}

int sdi_progress_work(void *argument, double flops)
{
    sdi_progress *p = argument;
    p->done += flops;
    const double now = sdi_clock_seconds();
    if (!p->fn || now - p->told < interval)
        return 0;
    return tell(p, now, p->done < p->total ? p->done / p->total : 1);
}

int sdi_progress_finish(sdi_progress *p)
{
    return p->fn ? tell(p, sdi_clock_seconds(), 1) : 0;
}
