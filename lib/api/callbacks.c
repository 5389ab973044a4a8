/* SPDX-License-Identifier: MIT
 *
 * Around each function of the host: its own floating-point mode, which it may change.
 */
#include "api/callbacks.h"

static void enter_host(const sdi_callbacks *c)
{
    (void)fesetenv(&c->mode);
}

static void leave_host(sdi_callbacks *c)
{
    c->mode = sdi_float_mode_set_default();
}

static int call_noise(void *user, int64_t draw, float *out, size_t count)
{
    sdi_callbacks *c = user;
    enter_host(c);
    const int result = c->host.noise(c->host.noise_user, draw, out, count);
    leave_host(c);
    return result;
}

static int call_step(void *user, const sdiff_step *step)
{
    sdi_callbacks *c = user;
    enter_host(c);
    const int result = c->host.on_step(c->host.step_user, step);
    leave_host(c);
    return result;
}

static int call_progress(void *user, const sdiff_progress *progress)
{
    sdi_callbacks *c = user;
    enter_host(c);
    const int result = c->host.on_progress(c->host.progress_user, progress);
    leave_host(c);
    return result;
}

static double call_cfg(void *user, int32_t step, int32_t steps, double cfg_scale)
{
    sdi_callbacks *c = user;
    enter_host(c);
    const double result = c->host.cfg(c->host.cfg_user, step, steps, cfg_scale);
    leave_host(c);
    return result;
}

static int call_guide(void *user, const sdiff_guide *guide)
{
    sdi_callbacks *c = user;
    enter_host(c);
    const int result = c->host.guide(c->host.guide_user, guide);
    leave_host(c);
    return result;
}

void sdi_callbacks_wrap(sdi_callbacks *callbacks, const fenv_t *mode,
                        sdiff_generate_params *request)
{
    callbacks->mode = *mode;
    callbacks->host = *request;
    if (request->noise)
        request->noise = call_noise;
    if (request->on_step)
        request->on_step = call_step;
    if (request->on_progress)
        request->on_progress = call_progress;
    if (request->cfg)
        request->cfg = call_cfg;
    if (request->guide)
        request->guide = call_guide;
    request->noise_user = request->step_user = request->progress_user = callbacks;
    request->cfg_user = request->guide_user = callbacks;
}
