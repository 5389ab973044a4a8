/* SPDX-License-Identifier: MIT
 *
 * The life of a model, and the order in which one is opened.
 */
#include "model/load.h"

#include "base/memory.h"

#include <string.h>

/* ---- life ------------------------------------------------------------------------------------ */

static sdi_model *new_model(const sdi_env *env, const char *name)
{
    sdi_model *m = sdi_zalloc(env, 1, sizeof *m);
    if (!m)
        return NULL;
    m->env.mem = sdi_mem_ref(env->mem);
    atomic_init(&m->references, 1);
    for (int32_t i = 0; i < SDI_PART_COUNT; i++)
        m->parts[i].file = -1;
    sdi_clip_config_init(&m->config.clip);
    sdi_unet_config_init(&m->config.unet);
    sdi_vae_config_init(&m->config.vae);
    sdi_dpt_config_init(&m->config.depth);
    sdi_depth_input_init(&m->config.depth_input, &m->config.depth, 0);
    sdi_taesd_config_init(&m->config.taesd);
    sdi_schedule_config_init(&m->config.schedule);
    m->name = sdi_strdup(env, name);
    if (m->name)
        return m;
    sdi_model_unref(m);
    return NULL;
}

sdi_model *sdi_model_ref(sdi_model *model)
{
    atomic_fetch_add(&model->references, 1);
    return model;
}

void sdi_model_unref(sdi_model *model)
{
    if (!model || atomic_fetch_sub(&model->references, 1) != 1)
        return;
    const sdi_env env = model->env;
    for (int32_t i = 0; i < SDI_PART_COUNT; i++) {
        if (model->parts[i].declared)
            sdi_weights_free(&model->parts[i].weights);
        sdi_free(&env, model->parts[i].refs);
        sdi_free(&env, model->parts[i].config_name);
    }
    for (int32_t i = 0; i < model->file_count; i++) {
        sdi_tensor_file_free(&env, model->files[i].file);
        sdi_free(&env, model->files[i].name);
        sdi_free(&env, model->files[i].state);
    }
    if (model->tokenizer)
        sdi_tokenizer_free(&env, model->tokenizer);
    sdi_free(&env, model->tokenizer_place);
    sdi_free(&env, model->tokenizer_reason);
    sdi_free(&env, model->config_place);
    sdi_free(&env, model->surplus);
    sdi_free(&env, model->name);
    sdi_free(&env, model);
    sdi_mem_unref(env.mem);
}

/* ---- opening --------------------------------------------------------------------------------- */

static sdiff_status open_source(sdi_loader *l)
{
    const sdi_model_source *s = l->source;
    sdi_source *source = NULL;
    sdi_tensor_file *file = NULL;
    if (s->path && sdi_is_folder(s->path))
        return sdi_open_folder(l, s->path);
    if (s->path) {
        SDI_TRY(sdi_tensor_file_open_path(l->env, s->path, &file));
        return sdi_open_single(l, file, s->path, 0);
    }
    if (s->bytes)
        SDI_TRY(sdi_source_open_memory(l->env, s->bytes, s->size, &source));
    else
        SDI_TRY(sdi_source_open_reader(l->env, s->read, s->user, s->size, &source));
    const sdiff_status status = sdi_tensor_file_open(l->env, source, &file);
    sdi_source_unref(l->env, source);
    SDI_TRY(status);
    return sdi_open_single(l, file, l->model->name, !s->bytes);
}

/* Moves the autoencoder of `other` into the model; the scale factor stays unless it is said. */
static void move_vae(sdi_loader *l, sdi_model *other)
{
    sdi_model *m = l->model;
    const int32_t file = other->parts[SDI_PART_VAE_DECODER].file, to = m->file_count++;
    m->files[to] = other->files[file];
    memset(&other->files[file], 0, sizeof other->files[file]);
    for (int32_t p = SDI_PART_VAE_ENCODER; p <= SDI_PART_VAE_DECODER; p++) {
        if (m->parts[p].file >= 0)
            sdi_skip_part(m, (sdi_part)p);
        sdi_free(l->env, m->parts[p].config_name);
        m->parts[p] = other->parts[p];
        other->parts[p].config_name = NULL;
        if (m->parts[p].file >= 0)
            m->parts[p].file = to;
        m->config.has[p] = other->config.has[p];
    }
    m->config.vae = other->config.vae;
}

static sdiff_status replace_vae(sdi_loader *l)
{
    const sdi_model_source source = {.path = l->options->vae};
    const sdi_model_options options = {.components = 1 << SDI_PART_VAE_ENCODER |
                                                     1 << SDI_PART_VAE_DECODER};
    sdi_model *other = new_model(l->env, l->options->vae);
    if (!other)
        return SDIFF_ERROR_NO_MEMORY;
    other->config.vae.scaling_factor = l->model->config.vae.scaling_factor;
    sdi_loader loader = {l->env, other, &source, &options, 0};
    sdiff_status status = open_source(&loader);
    if (status == SDIFF_OK && other->parts[SDI_PART_VAE_DECODER].file < 0)
        status = sdi_fail(l->env, SDIFF_ERROR_MISMATCH, "%s: holds no autoencoder's decoder",
                          l->options->vae);
    if (status == SDIFF_OK && l->model->file_count == SDI_MAX_FILES)
        status = sdi_fail(l->env, SDIFF_ERROR_LIMIT, "%s: one file too many", l->options->vae);
    if (status == SDIFF_OK)
        move_vae(l, other);
    sdi_model_unref(other);
    l->without_vae = 0;
    return status;
}

static sdiff_status load_parts(sdi_loader *l)
{
    for (int32_t p = 0; p < SDI_PART_COUNT; p++)
        if (l->model->parts[p].file >= 0 && sdi_wanted(l, (sdi_part)p))
            SDI_TRY(sdi_match_part(l, (sdi_part)p));
    SDI_TRY(sdi_collect_surplus(l));
    int32_t pack = 0;
    for (int32_t p = 0; p < SDI_PART_COUNT; p++)
        pack |= l->options->kernels[p] != NULL;
    if (pack)
        SDI_TRY(sdi_choose_residency(l));
    for (int32_t p = 0; pack && p < SDI_PART_COUNT; p++)
        if (l->model->parts[p].declared)
            SDI_TRY(sdi_fill_part(l, (sdi_part)p));
    return SDIFF_OK;
}

static sdiff_status open_all(sdi_loader *l)
{
    sdi_model_config *c = &l->model->config;
    SDI_TRY(open_source(l));
    if (!sdi_is_extra(c->family))
        c->family = sdi_infer_family(l->model);
    c->task = sdi_infer_task(c);
    if (l->options->vae)
        SDI_TRY(replace_vae(l));
    if (l->options->prediction) {
        c->schedule.prediction = (sdi_prediction)(l->options->prediction - 1);
        c->prediction_from = SDI_FROM_OPTION;
    }
    SDI_TRY(sdi_find_tokenizer(l)); // first: what it takes is not left for weights
    return load_parts(l);
}

sdiff_status sdi_model_open(const sdi_env *env, const sdi_model_source *source,
                            const sdi_model_options *options, sdi_model **out)
{
    const sdi_model_options none = {0};
    *out = NULL;
    const int given = (source->path != NULL) + (source->bytes != NULL) + (source->read != NULL);
    if (given != 1)
        return sdi_fail(env, SDIFF_ERROR_INVALID_ARGUMENT,
                        "a model is opened from one of path, memory and reader, %d were given",
                        given);
    sdi_model *model = new_model(env, source->path ? source->path
                                      : source->bytes ? "memory" : "reader");
    if (!model)
        return SDIFF_ERROR_NO_MEMORY;
    sdi_loader loader = {env, model, source, options ? options : &none, 0};
    loader.without_vae = loader.options->vae != NULL;
    const sdiff_status status = open_all(&loader);
    if (status != SDIFF_OK) {
        sdi_model_unref(model);
        return status;
    }
    *out = model;
    return SDIFF_OK;
}

/* ---- using ----------------------------------------------------------------------------------- */

const sdi_model_config *sdi_model_get_config(const sdi_model *model)
{
    return &model->config;
}

sdi_weights *sdi_model_weights(const sdi_model *model, sdi_part part)
{
    const sdi_model_part *p = &model->parts[part];
    return p->filled ? (sdi_weights *)&p->weights : NULL;
}

int sdi_model_has_part(const sdi_model *model, sdi_part part)
{
    return model->parts[part].declared;
}

const sdi_tokenizer *sdi_model_tokenizer(const sdi_model *model)
{
    return model->tokenizer;
}

const char *sdi_model_tokenizer_reason(const sdi_model *model)
{
    return model->tokenizer_reason ? model->tokenizer_reason : "";
}

const char *sdi_model_name(const sdi_model *model)
{
    return model->name;
}

sdi_tensor_ref sdi_model_source_tensor(const sdi_model *model, sdi_part part, int32_t param)
{
    const sdi_model_part *p = &model->parts[part];
    if (!p->refs || param < 0 || param >= p->weights.count)
        return (sdi_tensor_ref){0};
    return p->refs[param];
}

sdiff_status sdi_model_source_values(const sdi_env *env, const sdi_model *model, sdi_part part,
                                     int32_t param, float *out)
{
    const sdi_tensor_ref ref = sdi_model_source_tensor(model, part, param);
    const void *data = NULL;
    void *owned = NULL;
    if (!ref.file)
        return sdi_fail(env, SDIFF_ERROR_INTERNAL, "parameter %d of the %s has no tensor",
                        (int)param, sdi_part_name(part));
    SDI_TRY(sdi_ref_data(env, &ref, &data, &owned));
    sdi_convert_to_f32(out, data, sdi_tensor_file_info(ref.file, ref.index)->dtype,
                       (size_t)model->parts[part].weights.params[param].count);
    sdi_free(env, owned);
    return SDIFF_OK;
}

int sdi_model_ldm_name(const sdi_model *model, sdi_part part, int32_t param, char *out, size_t size,
                       int32_t *piece, int32_t *pieces)
{
    static const char *const prefixes[] = {"cond_stage_model.transformer.",
                                           "model.diffusion_model.", "first_stage_model.",
                                           "first_stage_model.", "depth_model.model.",
                                           "control_model.", "", ""};
    const sdi_model_part *p = &model->parts[part];
    const int text = part == SDI_PART_TEXT, open = model->config.family == SDI_FAMILY_SD2;
    sdi_naming naming = {.part = part, .unet = &model->config.unet,
                         .vae_levels = model->config.vae.levels};
    const char *prefix = text && open ? "cond_stage_model.model." : prefixes[part];
    naming.layout = !text ? SDI_LAYOUT_LDM : open ? SDI_LAYOUT_OPENCLIP : SDI_LAYOUT_DIFFUSERS;
    memcpy(naming.prefix, prefix, strlen(prefix) + 1);
    sdi_alias alias;
    if (!p->declared || param < 0 || param >= p->weights.count ||
        !sdi_name_in_file(&naming, p->weights.params[param].name, 0, &alias) ||
        strlen(alias.name) >= size)
        return 0;
    memcpy(out, alias.name, strlen(alias.name) + 1);
    *piece = alias.piece;
    *pieces = alias.pieces;
    return 1;
}

int32_t sdi_model_surplus_count(const sdi_model *model)
{
    return model->surplus_count;
}

const char *sdi_model_surplus_name(const sdi_model *model, int32_t index)
{
    return index >= 0 && index < model->surplus_count ? model->surplus[index] : NULL;
}

int32_t sdi_model_ignored_count(const sdi_model *model)
{
    return model->ignored_count;
}
