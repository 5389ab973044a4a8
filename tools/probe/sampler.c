/* SPDX-License-Identifier: MIT
 *
 * sd-probe sampler: a sampler without a network, on a stand-in model whose output is
 * 0.7 s cos(t / 200) + 0.1 sin(3 s) for the scaled sample s at timestep t.
 */
#include "probe.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct sampling {
    probe *p;
    sdiff_sampler *sampler;
    sdiff_sampler_params params;
    int32_t rank;
    int64_t shape[8];
    float *x, *input, *output; // [count] each
} sampling;

static int give_noise(void *user, int64_t draw, float *out, size_t count)
{
    const sampling *s = user;
    char name[32];
    snprintf(name, sizeof name, "noise.%lld", (long long)draw);
    return sdiff_tensors_get_f32(s->p->in, name, out, count) != SDIFF_OK;
}

/* The index of a key's value in a list of names, counted from `first`; 0 where the key is absent,
 * -1 after a complaint. */
static int32_t named(const probe *p, const char *key, const char *const *names, int32_t first)
{
    const char *text = probe_key(p, key, NULL);
    for (int32_t i = 0; text && names[i]; i++)
        if (strcmp(names[i], text) == 0)
            return i + first;
    if (text)
        probe_fail("this prediction or spacing does not exist");
    return text ? -1 : 0;
}

static int read_keys(sampling *s)
{
    static const char *const predictions[] = {"epsilon", "v_prediction", "sample", NULL};
    static const char *const spacings[] = {"leading", "linspace", "trailing", NULL};
    sdiff_sampler_params *q = &s->params;
    const probe *p = s->p;
    long long steps = q->steps, offset = q->steps_offset;
    if (!probe_int(p, "steps", INT32_MIN, INT32_MAX, &steps) ||
        !probe_int(p, "steps_offset", INT32_MIN, INT32_MAX, &offset) ||
        !probe_real(p, "eta", &q->eta) || !probe_real(p, "strength", &q->strength))
        return EXIT_USAGE;
    const int32_t prediction = named(p, "prediction", predictions, SDIFF_PREDICTION_EPSILON);
    const int32_t spacing = named(p, "spacing", spacings, SDIFF_SPACING_LEADING);
    if (prediction < 0 || spacing < 0)
        return EXIT_USAGE;
    q->prediction = prediction ? prediction : q->prediction;
    q->spacing = spacing ? spacing : q->spacing;
    q->steps = (int32_t)steps;
    q->steps_offset = (int32_t)offset;
    q->name = probe_key(p, "sampler", q->name);
    q->schedule = probe_key(p, "schedule", q->schedule);
    if (sdiff_tensors_shape(p->in, "noise.0", NULL) >= 0) {
        q->noise = give_noise;
        q->noise_user = s;
    }
    return 0;
}

static int read_x(sampling *s)
{
    s->rank = sdiff_tensors_shape(s->p->in, "x", s->shape);
    if (s->rank < 0)
        return probe_fail("the input tensor 'x' is missing");
    s->params.count = 1;
    for (int32_t i = 0; i < s->rank; i++)
        s->params.count *= (size_t)s->shape[i];
    const size_t count = s->params.count;
    s->x = malloc(3 * (count ? count : 1) * sizeof *s->x);
    if (!s->x)
        return complain("sd-probe", SDIFF_ERROR_NO_MEMORY, NULL);
    s->input = s->x + count;
    s->output = s->input + count;
    const sdiff_status status = sdiff_tensors_get_f32(s->p->in, "x", s->x, count);
    return status == SDIFF_OK ? 0 : complain("sd-probe", status, sdiff_tensors_error(s->p->in));
}

static void stand_in_model(const sampling *s, double timestep)
{
    const float t = (float)timestep;
    for (size_t i = 0; i < s->params.count; i++)
        s->output[i] = 0.7f * s->input[i] * cosf(t / 200) + 0.1f * sinf(3 * s->input[i]);
}

static int put(sampling *s, const char *name, int32_t rank, const int64_t *shape,
               const float *values)
{
    const sdiff_status status =
        sdiff_tensors_set(s->p->out, name, SDIFF_DTYPE_F32, rank, shape, values);
    return status == SDIFF_OK ? 0 : complain("sd-probe", status, sdiff_tensors_error(s->p->out));
}

/* diffusers' schedulers tell every evaluation apart, k-diffusion whole steps. */
static int tells_whole_steps(const char *name)
{
    static const char *const bare[] = {"dpmpp_2s_a", "dpmpp_3m_sde", "restart"};
    for (size_t i = 0; i < sizeof bare / sizeof bare[0]; i++)
        if (strcmp(name, bare[i]) == 0)
            return 1;
    return strncmp(name, "k_", 2) == 0;
}

static int run(sampling *s)
{
    double timestep = 0, sigma = 0;
    int64_t count = 0;
    const int whole_steps = tells_whole_steps(s->params.name);
    const float init_sigma = (float)sdiff_sampler_init_sigma(s->sampler);
    for (size_t i = 0; i < s->params.count; i++)
        s->x[i] *= init_sigma;
    sdiff_status status = sdiff_sampler_begin(s->sampler, s->x);
    while (status == SDIFF_OK &&
           sdiff_sampler_request(s->sampler, s->input, &timestep, &sigma)) {
        char name[32];
        stand_in_model(s, timestep);
        status = sdiff_sampler_supply(s->sampler, s->output);
        if (status != SDIFF_OK || (whole_steps && !sdiff_sampler_stepped(s->sampler)))
            continue;
        snprintf(name, sizeof name, "traj.%lld", (long long)count++);
        const int code = put(s, name, s->rank, s->shape, sdiff_sampler_latents(s->sampler));
        if (code)
            return code;
    }
    if (status != SDIFF_OK)
        return complain("sd-probe", status, sdiff_sampler_error(s->sampler));
    return put(s, "out", s->rank, s->shape, sdiff_sampler_latents(s->sampler));
}

int probe_sampler(probe *p)
{
    sampling s = {.p = p};
    sdiff_sampler_params_init(&s.params, sizeof s.params);
    int code = read_keys(&s);
    if (!code)
        code = read_x(&s);
    if (!code) {
        const sdiff_status status = sdiff_sampler_new(p->context, &s.params, &s.sampler);
        code = status == SDIFF_OK ? run(&s)
                                  : complain("sd-probe", status, sdiff_context_error(p->context));
    }
    sdiff_sampler_free(s.sampler);
    free(s.x);
    return code;
}
