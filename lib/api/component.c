/* SPDX-License-Identifier: MIT
 *
 * sdiff_model_run: one component on named tensors.
 */
#include "api/tensors.h"
#include "tensor/shape.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One call: where tensors come from and go to. */
typedef struct probe {
    sdi_session session;
    sdiff_tensors *in, *out;
    const char *const *options;
    const sdi_model_config *config;
    const sdi_embeddings *embeddings;
} probe;

static const sdi_env *env_of(const probe *p)
{
    return &p->session.env;
}

/* ---- options and inputs ---------------------------------------------------------------------- */

static sdiff_status option_int(const probe *p, const char *key, int32_t low, int32_t high,
                               int32_t *value)
{
    for (const char *const *o = p->options; o && o[0] && o[1]; o += 2) {
        if (strcmp(o[0], key) != 0)
            continue;
        char *end = NULL;
        const long long number = strtoll(o[1], &end, 10);
        if (end == o[1] || *end || number < low || number > high)
            return sdi_fail(env_of(p), SDIFF_ERROR_INVALID_ARGUMENT, "%s=%s: %d to %d is possible",
                            key, o[1], low, high);
        *value = (int32_t)number;
    }
    return SDIFF_OK;
}

/* A required tensor of a rank. */
static sdiff_status input(const probe *p, const char *name, int32_t rank,
                          const sdi_tensor_out **found)
{
    *found = sdi_tensors_find(p->in, name);
    if (!*found)
        return sdi_fail(env_of(p), SDIFF_ERROR_INVALID_ARGUMENT, "the input tensor '%s' is missing",
                        name);
    if ((*found)->rank != rank)
        return sdi_fail(env_of(p), SDIFF_ERROR_INVALID_ARGUMENT,
                        "the input tensor '%s' has %d dimensions, %d are needed", name,
                        (*found)->rank, rank);
    for (int32_t i = 0; i < rank; i++)
        if ((*found)->shape[i] < 1 || (*found)->shape[i] > 1 << 24)
            return sdi_fail(env_of(p), SDIFF_ERROR_INVALID_ARGUMENT,
                            "the input tensor '%s' has a side of %lld", name,
                            (long long)(*found)->shape[i]);
    return SDIFF_OK;
}

static sdiff_status input_map(const probe *p, const char *name, int64_t channels,
                              const sdi_tensor_out **found)
{
    SDI_TRY(input(p, name, 4, found));
    if ((*found)->shape[1] != channels)
        return sdi_fail(env_of(p), SDIFF_ERROR_INVALID_ARGUMENT,
                        "the input tensor '%s' has %lld channels, the network needs %lld", name,
                        (long long)(*found)->shape[1], (long long)channels);
    return SDIFF_OK;
}

/* Integers of either width; what fits no table is refused here or by the plan. */
static sdiff_status read_ids(const probe *p, const char *name, const sdi_tensor_out *tensor,
                             int32_t *ids)
{
    const uint64_t count = sdi_tensor_elements(tensor);
    if (tensor->dtype != SDI_I64 && tensor->dtype != SDI_I32)
        return sdi_fail(env_of(p), SDIFF_ERROR_INVALID_ARGUMENT, "'%s' has to be int64 or int32",
                        name);
    for (uint64_t i = 0; i < count; i++) {
        const int64_t id = tensor->dtype == SDI_I64 ? ((const int64_t *)tensor->data)[i]
                                                    : ((const int32_t *)tensor->data)[i];
        if (id < 0 || id > INT32_MAX)
            return sdi_fail(env_of(p), SDIFF_ERROR_INVALID_ARGUMENT,
                            "'%s' holds %lld, which is no id", name, (long long)id);
        ids[i] = (int32_t)id;
    }
    return SDIFF_OK;
}

/* Whether a tensor has the shape that was planned; ids may lack the side of 1. */
static sdiff_status check_shape(const probe *p, const sdi_plan *plan, const char *name,
                                const sdi_tensor_out *tensor)
{
    char found[128], needed[128];
    int64_t shape[4] = {0};
    const int32_t rank = sdi_plan_input(plan, name, shape);
    const int32_t given = tensor->rank < rank && shape[rank - 1] == 1 ? rank - 1 : rank;
    if (tensor->rank == given &&
        memcmp(tensor->shape, shape, (size_t)given * sizeof *shape) == 0)
        return SDIFF_OK;
    return sdi_fail(env_of(p), SDIFF_ERROR_INVALID_ARGUMENT,
                    "the input tensor '%s' is %s, %s is needed", name,
                    sdi_shape_text(found, sizeof found, tensor->rank, tensor->shape),
                    sdi_shape_text(needed, sizeof needed, rank, shape));
}

/* Hands a tensor to a plan as float32 or int32. */
static sdiff_status feed(const probe *p, sdi_plan *plan, const char *name,
                         const sdi_tensor_out *tensor, int as_ids)
{
    SDI_TRY(check_shape(p, plan, name, tensor));
    const uint64_t count = sdi_tensor_elements(tensor);
    int32_t *buffer = sdi_alloc(env_of(p), count, sizeof *buffer);
    if (!buffer)
        return SDIFF_ERROR_NO_MEMORY;
    sdiff_status status = SDIFF_OK;
    if (as_ids)
        status = read_ids(p, name, tensor, buffer);
    else
        sdi_convert_to_f32((float *)buffer, tensor->data, tensor->dtype, (size_t)count);
    if (status == SDIFF_OK)
        status = sdi_plan_set(env_of(p), plan, name, buffer);
    sdi_free(env_of(p), buffer);
    return status;
}

/* ---- running and results --------------------------------------------------------------------- */

static sdiff_status run(probe *p, sdi_plan *plan)
{
    SDI_TRY(sdi_session_run(&p->session, plan, NN_ONCE));
    return sdi_session_run(&p->session, plan, NN_EACH);
}

static sdiff_status keep(probe *p, const char *name, int32_t rank, const int64_t *shape,
                         const float *data)
{
    const sdiff_status status =
        sdiff_tensors_set(p->out, name, SDIFF_DTYPE_F32, rank, shape, data);
    return status == SDIFF_OK ? status
                              : sdi_fail(env_of(p), status, "%s", sdiff_tensors_error(p->out));
}

static sdiff_status keep_output(probe *p, sdi_plan *plan, const char *name, int32_t rank,
                                const int64_t *shape)
{
    uint64_t count = 1;
    for (int32_t i = 0; i < rank; i++)
        count *= (uint64_t)shape[i];
    float *values = sdi_alloc(env_of(p), count, sizeof *values);
    if (!values)
        return SDIFF_ERROR_NO_MEMORY;
    sdiff_status status = sdi_session_get(&p->session, plan, name, values);
    if (status == SDIFF_OK)
        status = keep(p, name, rank, shape, values);
    sdi_free(env_of(p), values);
    return status;
}

static sdiff_status keep_outputs(probe *p, sdi_plan *plan)
{
    int64_t shape[4];
    int32_t rank = 0;
    const char *name = NULL;
    for (int32_t i = 0; (name = sdi_plan_output(plan, i, shape, &rank)); i++)
        SDI_TRY(keep_output(p, plan, name, rank, shape));
    return SDIFF_OK;
}

/* ---- components ------------------------------------------------------------------------------ */

/* Ids, some of which stand for vectors of embeddings, as the rows that the encoder begins with. */
static sdiff_status feed_rows(const probe *p, sdi_plan *plan, const sdi_tensor_out *ids)
{
    const uint64_t count = sdi_tensor_elements(ids), width = (uint64_t)p->config->clip.hidden_size;
    int32_t *list = sdi_alloc(env_of(p), count, sizeof *list);
    float *rows = sdi_alloc(env_of(p), count, width * sizeof *rows);
    sdiff_status status = list && rows ? SDIFF_OK : SDIFF_ERROR_NO_MEMORY;
    if (status == SDIFF_OK)
        status = read_ids(p, "input_ids", ids, list);
    if (status == SDIFF_OK)
        status = sdi_embeddings_rows(env_of(p), p->session.model, p->embeddings, list,
                                     (int64_t)count, rows);
    if (status == SDIFF_OK)
        status = sdi_plan_set(env_of(p), plan, "embeddings", rows);
    sdi_free(env_of(p), list);
    sdi_free(env_of(p), rows);
    return status;
}

static sdiff_status run_text(probe *p)
{
    const sdi_tensor_out *ids = NULL;
    sdi_clip_args args;
    memset(&args, 0, sizeof args);
    SDI_TRY(option_int(p, "clip_skip", 0, p->config->clip.layers, &args.clip_skip));
    SDI_TRY(input(p, "input_ids", 2, &ids));
    args.config = &p->config->clip;
    args.b = ids->shape[0];
    args.t = ids->shape[1];
    args.all_states = 1;
    args.from_embeddings = p->embeddings->count > 0;
    sdi_plan *plan = NULL;
    SDI_TRY(sdi_session_plan(&p->session, SDI_NET_TEXT, &args, sizeof args, &plan));
    SDI_TRY(sdi_session_reserve(&p->session));
    if (args.from_embeddings)
        SDI_TRY(feed_rows(p, plan, ids));
    else
        SDI_TRY(feed(p, plan, "input_ids", ids, 1));
    SDI_TRY(run(p, plan));
    return keep_outputs(p, plan);
}

/* One time for all rows, or one for each. */
static sdiff_status feed_timestep(probe *p, sdi_plan *plan, int64_t b)
{
    const sdi_tensor_out *t = sdi_tensors_find(p->in, "timestep");
    const uint64_t count = t ? sdi_tensor_elements(t) : 0;
    if (!t || (count != 1 && count != (uint64_t)b))
        return sdi_fail(env_of(p), SDIFF_ERROR_INVALID_ARGUMENT,
                        "the input tensor 'timestep' has to hold 1 or %lld numbers", (long long)b);
    float *times = sdi_alloc(env_of(p), (uint64_t)b, sizeof *times);
    if (!times)
        return SDIFF_ERROR_NO_MEMORY;
    for (int64_t i = 0; i < b; i++)
        sdi_convert_to_f32(&times[i],
                           (const char *)t->data +
                               (count == 1 ? 0 : (size_t)i * sdi_dtype_size(t->dtype)),
                           t->dtype, 1);
    const sdiff_status status = sdi_plan_set(env_of(p), plan, "timestep", times);
    sdi_free(env_of(p), times);
    return status;
}

static int has_down_residuals(const probe *p)
{
    for (int32_t i = 0; i < sdiff_tensors_count(p->in); i++)
        if (strncmp(sdiff_tensors_name(p->in, i), "down_residual.", 14) == 0)
            return 1;
    return 0;
}

static sdiff_status feed_zeros(const probe *p, sdi_plan *plan, const char *name)
{
    int64_t s[4];
    sdi_plan_input(plan, name, s);
    const uint64_t count = (uint64_t)(s[0] * s[1] * s[2] * s[3]);
    float *zeros = sdi_alloc(env_of(p), count, sizeof *zeros);
    if (!zeros)
        return SDIFF_ERROR_NO_MEMORY;
    memset(zeros, 0, (size_t)count * sizeof *zeros);
    const sdiff_status status = sdi_plan_set(env_of(p), plan, name, zeros);
    sdi_free(env_of(p), zeros);
    return status;
}

/* Of the skip connections all have a residual or none. */
static sdiff_status feed_residuals(const probe *p, sdi_plan *plan)
{
    const sdi_tensor_out *middle = sdi_tensors_find(p->in, "mid_residual");
    const int has_down = has_down_residuals(p);
    char name[32];
    if (middle)
        SDI_TRY(feed(p, plan, "mid_residual", middle, 0));
    else
        SDI_TRY(feed_zeros(p, plan, "mid_residual"));
    int i = 0;
    for (;; i++) {
        const sdi_tensor_out *r = NULL;
        snprintf(name, sizeof name, "down_residual.%d", i);
        if (!sdi_plan_has_input(plan, name))
            break;
        if (!has_down) {
            SDI_TRY(feed_zeros(p, plan, name));
            continue;
        }
        SDI_TRY(input(p, name, 4, &r));
        SDI_TRY(feed(p, plan, name, r, 0));
    }
    if (sdi_tensors_find(p->in, name))
        return sdi_fail(env_of(p), SDIFF_ERROR_INVALID_ARGUMENT,
                        "the input tensor '%s' is one too many: this U-Net has %d skip "
                        "connections, the residuals are for another one", name, i);
    return SDIFF_OK;
}

static sdiff_status unet_args(probe *p, sdi_unet_args *args, const sdi_tensor_out **sample,
                              const sdi_tensor_out **context)
{
    memset(args, 0, sizeof *args);
    args->config = &p->config->unet;
    SDI_TRY(input_map(p, "sample", p->config->unet.in_channels, sample));
    args->b = (*sample)->shape[0];
    args->h = (*sample)->shape[2];
    args->w = (*sample)->shape[3];
    args->residuals = has_down_residuals(p) || sdi_tensors_find(p->in, "mid_residual");
    *context = NULL;
    if (!p->config->unet.cross_attention_dim)
        return SDIFF_OK;
    SDI_TRY(input(p, "context", 3, context));
    if ((*context)->shape[0] != args->b ||
        (*context)->shape[2] != p->config->unet.cross_attention_dim)
        return sdi_fail(env_of(p), SDIFF_ERROR_INVALID_ARGUMENT,
                        "the input tensor 'context' is [%lld, %lld, %lld], [%lld, …, %d] is needed",
                        (long long)(*context)->shape[0], (long long)(*context)->shape[1],
                        (long long)(*context)->shape[2], (long long)args->b,
                        p->config->unet.cross_attention_dim);
    args->context_tokens = (*context)->shape[1];
    return SDIFF_OK;
}

static sdiff_status run_unet(probe *p)
{
    sdi_unet_args args;
    const sdi_tensor_out *sample = NULL, *context = NULL, *labels = NULL;
    SDI_TRY(unet_args(p, &args, &sample, &context));
    sdi_plan *plan = NULL;
    SDI_TRY(sdi_session_plan(&p->session, SDI_NET_UNET, &args, sizeof args, &plan));
    SDI_TRY(sdi_session_reserve(&p->session));
    SDI_TRY(feed(p, plan, "sample", sample, 0));
    SDI_TRY(feed_timestep(p, plan, args.b));
    if (context)
        SDI_TRY(feed(p, plan, "context", context, 0));
    if (sdi_plan_has_input(plan, "class_labels")) {
        SDI_TRY(input(p, "class_labels", 1, &labels));
        SDI_TRY(feed(p, plan, "class_labels", labels, 1));
    }
    if (args.residuals)
        SDI_TRY(feed_residuals(p, plan));
    SDI_TRY(run(p, plan));
    return keep_outputs(p, plan);
}

static sdiff_status run_encode(probe *p)
{
    const sdi_tensor_out *image = NULL;
    const sdi_vae_config *vae = &p->config->vae;
    SDI_TRY(input_map(p, "image", vae->image_channels, &image));
    const int64_t b = image->shape[0], h = image->shape[2], w = image->shape[3];
    const int64_t scale = sdi_latent_scale(p->config);
    const int64_t shape[4] = {b, vae->latent_channels, h / scale, w / scale};
    const uint64_t count = (uint64_t)(b * shape[1] * shape[2] * shape[3]);
    const uint64_t pixels = sdi_tensor_elements(image);
    float *buffers = sdi_alloc(env_of(p), pixels + 2 * count, sizeof *buffers);
    if (!buffers)
        return SDIFF_ERROR_NO_MEMORY;
    float *mean = buffers + pixels, *logvar = mean + count;
    sdi_convert_to_f32(buffers, image->data, image->dtype, (size_t)pixels);
    sdiff_status status = sdi_vae_encode(&p->session, buffers, b, h, w, mean, logvar);
    if (status == SDIFF_OK)
        status = keep(p, "mean", 4, shape, mean);
    if (status == SDIFF_OK)
        status = keep(p, "logvar", 4, shape, logvar);
    sdi_free(env_of(p), buffers);
    return status;
}

static sdiff_status run_decode(probe *p)
{
    const sdi_tensor_out *z = NULL;
    sdi_plan *plan = NULL;
    SDI_TRY(input_map(p, "z", p->config->vae.latent_channels, &z));
    SDI_TRY(sdi_vae_plan(&p->session, SDI_NET_VAE_DECODER, z->shape[0], z->shape[2], z->shape[3],
                         &plan));
    SDI_TRY(sdi_session_reserve(&p->session));
    SDI_TRY(feed(p, plan, "z", z, 0));
    SDI_TRY(run(p, plan));
    return keep_outputs(p, plan);
}

static sdiff_status run_controlnet(probe *p)
{
    sdi_unet_args args;
    const sdi_tensor_out *sample = NULL, *context = NULL, *hint = NULL;
    const sdi_unet_config *c = &p->config->unet;
    const int64_t scale = (int64_t)1 << (c->hint_levels - 1);
    SDI_TRY(unet_args(p, &args, &sample, &context));
    SDI_TRY(input_map(p, "hint", c->conditioning_channels, &hint));
    if (hint->shape[0] != args.b || hint->shape[2] != args.h * scale ||
        hint->shape[3] != args.w * scale)
        return sdi_fail(env_of(p), SDIFF_ERROR_INVALID_ARGUMENT,
                        "the input tensor 'hint' is [%lld, 3, %lld, %lld], [%lld, 3, %lld, %lld] "
                        "is needed", (long long)hint->shape[0], (long long)hint->shape[2],
                        (long long)hint->shape[3], (long long)args.b, (long long)(args.h * scale),
                        (long long)(args.w * scale));
    sdi_network network;
    sdi_plan *plan = NULL;
    args.residuals = 0;
    SDI_TRY(sdi_session_add(&p->session, p->session.model, SDI_PART_CONTROL, &network));
    SDI_TRY(sdi_session_plan(&p->session, network, &args, sizeof args, &plan));
    SDI_TRY(sdi_session_reserve(&p->session));
    SDI_TRY(feed(p, plan, "sample", sample, 0));
    SDI_TRY(feed_timestep(p, plan, args.b));
    SDI_TRY(feed(p, plan, "context", context, 0));
    SDI_TRY(feed(p, plan, "hint", hint, 0));
    SDI_TRY(run(p, plan));
    return keep_outputs(p, plan);
}

static sdiff_status run_depth(probe *p)
{
    const sdi_tensor_out *pixels = NULL;
    SDI_TRY(input_map(p, "pixel_values", p->config->depth.image_channels, &pixels));
    const sdi_dpt_args args = {.config = &p->config->depth,
                               .b = pixels->shape[0],
                               .h = pixels->shape[2],
                               .w = pixels->shape[3]};
    if (args.h % 32 || args.w % 32)
        return sdi_fail(env_of(p), SDIFF_ERROR_INVALID_ARGUMENT,
                        "the input tensor 'pixel_values' is of %lld x %lld pixels, multiples of 32 "
                        "are needed", (long long)args.w, (long long)args.h);
    sdi_plan *plan = NULL;
    SDI_TRY(sdi_session_plan(&p->session, SDI_NET_DEPTH, &args, sizeof args, &plan));
    SDI_TRY(sdi_session_reserve(&p->session));
    SDI_TRY(feed(p, plan, "pixel_values", pixels, 0));
    SDI_TRY(run(p, plan));
    return keep_outputs(p, plan);
}

static const struct {
    const char *name;
    sdiff_status (*run)(probe *p);
} components[] = {
    {"text", run_text},
    {"unet", run_unet},
    {"vae-encode", run_encode},
    {"vae-decode", run_decode},
    {"controlnet", run_controlnet},
    {"depth", run_depth},
};

sdiff_status sdiff_model_run(sdiff_model *model, const char *component, sdiff_tensors *in,
                             const char *const *options, sdiff_tensors *out)
{
    SDI_OWN_FLOAT_MODE;
    if (!model || !component || !in || !out)
        return sdi_null_argument(model ? &model->error : NULL, "component, in or out");
    sdi_error_clear(&model->error);
    for (size_t i = 0; i < SDI_COUNT(components); i++) {
        if (strcmp(components[i].name, component) != 0)
            continue;
        probe p;
        memset(&p, 0, sizeof p);
        sdi_session_init(&p.session, &model->env, model->model, model->context->pool);
        p.in = in;
        p.out = out;
        p.options = options;
        p.config = sdi_model_get_config(model->model);
        p.embeddings = &model->embeddings;
        const sdiff_status status = components[i].run(&p);
        sdi_session_free(&p.session);
        return status;
    }
    return sdi_fail(&model->env, SDIFF_ERROR_INVALID_ARGUMENT, "there is no component '%s'",
                    component);
}
