/* SPDX-License-Identifier: MIT
 *
 * What a model is, as JSON and as readable lines (made from the JSON, so that they agree).
 */
#include "model/load.h"

#include "base/memory.h"
#include "base/strbuf.h"

#include <string.h>

const char *sdi_family_name(sdi_family family)
{
    static const char *const names[] = {"sd1", "sd2", "unconditional", "vae",
                                        "controlnet", "depth", "taesd"};
    return names[family];
}

const char *sdi_task_name(sdi_task task)
{
    static const char *const names[] = {"text", "inpaint", "depth", "edit"};
    return names[task];
}

const char *sdi_part_name(sdi_part part)
{
    static const char *const names[] = {
        "text encoder", "U-Net", "VAE encoder", "VAE decoder", "depth estimator", "ControlNet",
        "tiny encoder", "tiny decoder"};
    return names[part];
}

const char *sdi_prediction_name(sdi_prediction prediction)
{
    static const char *const names[] = {"epsilon", "v_prediction", "sample"};
    return names[prediction];
}

static const char *origin_name(sdi_origin origin)
{
    static const char *const names[] = {"published default", "file", "configuration", "option"};
    return names[origin];
}

/* ---- JSON ------------------------------------------------------------------------------------ */
/* A failed allocation inside of jansson makes *ok 0; the half-built value is then dropped. */

static void put(json_t *object, const char *key, json_t *value, int *ok)
{
    *ok &= json_object_set_new(object, key, value) == 0;
}

/* Paths and names of tensors need not be UTF-8, JSON must be. */
static json_t *words(const char *text)
{
    char safe[SDI_ERROR_TEXT];
    size_t i = 0;
    json_t *value = json_string(text);
    if (value)
        return value;
    for (; text[i] && i + 1 < sizeof safe; i++)
        safe[i] = (unsigned char)text[i] < 0x80 ? text[i] : '?';
    safe[i] = '\0';
    return json_string(safe);
}

static json_t *numbers(const int32_t *values, int32_t count, int *ok)
{
    json_t *list = json_array();
    for (int32_t i = 0; i < count; i++)
        *ok &= json_array_append_new(list, json_integer(values[i])) == 0;
    return list;
}

/* Parameters, and how many tensors of each type hold them. */
void sdi_describe_counts(json_t *object, const sdi_model_part *p, int *ok)
{
    int32_t types[SDI_DTYPE_COUNT] = {0};
    json_t *dtypes = json_object();
    if (!p->declared)
        return;
    put(object, "tensors", json_integer(p->weights.count), ok);
    put(object, "parameters", json_integer((json_int_t)sdi_weights_elements(&p->weights)), ok);
    for (int32_t i = 0; i < p->weights.count; i++)
        if (p->refs && p->refs[i].file)
            types[sdi_tensor_file_info(p->refs[i].file, p->refs[i].index)->dtype]++;
    for (int32_t t = 0; t < SDI_DTYPE_COUNT; t++)
        if (types[t])
            put(dtypes, sdi_dtype_name((sdi_dtype)t), json_integer(types[t]), ok);
    put(object, "dtypes", dtypes, ok);
    if (p->filled) {
        put(object, "kernels", json_string(p->weights.kernels.names), ok);
        put(object, "compute", json_string(sdi_kernels_compute(&p->weights.kernels)), ok);
        put(object, "memory_bytes",
            json_integer((json_int_t)sdi_weights_resident_bytes(&p->weights)), ok);
        put(object, "streamed", json_boolean(p->weights.streamed), ok);
    }
}

static json_t *text_json(const sdi_model *m, int *ok)
{
    const sdi_clip_config *c = &m->config.clip;
    json_t *o = json_object();
    put(o, "vocab_size", json_integer(c->vocab_size), ok);
    put(o, "hidden_size", json_integer(c->hidden_size), ok);
    put(o, "intermediate_size", json_integer(c->intermediate_size), ok);
    put(o, "num_hidden_layers", json_integer(c->layers), ok);
    put(o, "num_attention_heads", json_integer(c->heads), ok);
    put(o, "max_position_embeddings", json_integer(c->positions), ok);
    put(o, "hidden_act", json_string(c->act == SDI_ACT_GELU ? "gelu" : "quick_gelu"), ok);
    put(o, "layer", json_string(c->penultimate ? "penultimate" : "last"), ok);
    put(o, "bos_token_id", json_integer(c->bos_token), ok);
    put(o, "eos_token_id", json_integer(c->eos_token), ok);
    put(o, "pad_token_id", json_integer(c->pad_token), ok);
    sdi_describe_counts(o, &m->parts[SDI_PART_TEXT], ok);
    return o;
}

static json_t *unet_json(const sdi_model *m, int *ok)
{
    const sdi_unet_config *c = &m->config.unet;
    int32_t heads[SDI_UNET_MAX_LEVELS];
    json_t *o = json_object();
    for (int32_t i = 0; i < c->levels; i++)
        heads[i] = c->head_dim ? c->block_out_channels[i] / c->head_dim : c->heads[i];
    put(o, "in_channels", json_integer(c->in_channels), ok);
    put(o, "out_channels", json_integer(c->out_channels), ok);
    put(o, "block_out_channels", numbers(c->block_out_channels, c->levels, ok), ok);
    put(o, "layers_per_block", numbers(c->layers_per_block, c->levels, ok), ok);
    put(o, "attention", numbers(c->attention, c->levels, ok), ok);
    put(o, "heads", numbers(heads, c->levels, ok), ok);
    put(o, "heads_from", json_string(origin_name(m->config.heads_from)), ok);
    put(o, "transformer_layers", numbers(c->transformer_layers, c->levels, ok), ok);
    put(o, "cross_attention_dim", json_integer(c->cross_attention_dim), ok);
    put(o, "linear_projection", json_boolean(c->linear_projection), ok);
    put(o, "norm_groups", json_integer(c->norm_groups), ok);
    put(o, "sample_size", json_integer(c->sample_size), ok);
    if (c->class_embeddings)
        put(o, "class_embeddings", json_integer(c->class_embeddings), ok);
    put(o, "weights", json_string(m->parts[SDI_PART_UNET].naming.layout == SDI_LAYOUT_LDM_EMA
                                      ? "moving averages" : "trained"), ok);
    sdi_describe_counts(o, &m->parts[SDI_PART_UNET], ok);
    return o;
}

static json_t *vae_json(const sdi_model *m, int *ok)
{
    static const char *const halves[] = {"encoder", "decoder"};
    const sdi_vae_config *c = &m->config.vae;
    json_t *o = json_object();
    put(o, "image_channels", json_integer(c->image_channels), ok);
    put(o, "latent_channels", json_integer(c->latent_channels), ok);
    put(o, "block_out_channels", numbers(c->block_out_channels, c->levels, ok), ok);
    put(o, "layers_per_block", json_integer(c->layers_per_block), ok);
    put(o, "norm_groups", json_integer(c->norm_groups), ok);
    put(o, "scaling_factor", json_real(c->scaling_factor), ok);
    for (int32_t i = 0; i < 2; i++) {
        const sdi_part part = (sdi_part)(SDI_PART_VAE_ENCODER + i);
        json_t *half = m->config.has[part] ? json_object() : json_null();
        if (m->config.has[part])
            sdi_describe_counts(half, &m->parts[part], ok);
        put(o, halves[i], half, ok);
    }
    return o;
}

static json_t *schedule_json(const sdi_model *m, int *ok)
{
    static const char *const kinds[] = {"scaled_linear", "linear", "squaredcos_cap_v2"};
    static const char *const spacings[] = {"leading", "linspace", "trailing"};
    const sdi_schedule_config *s = &m->config.schedule;
    json_t *o = json_object();
    if (m->config.scheduler_class[0])
        put(o, "class", json_string(m->config.scheduler_class), ok);
    put(o, "train_timesteps", json_integer(s->train_timesteps), ok);
    put(o, "beta_start", json_real(s->beta_start), ok);
    put(o, "beta_end", json_real(s->beta_end), ok);
    put(o, "beta_schedule", json_string(kinds[s->beta_schedule]), ok);
    put(o, "timestep_spacing", json_string(spacings[s->spacing]), ok);
    put(o, "steps_offset", json_integer(s->steps_offset), ok);
    put(o, "set_alpha_to_one", json_boolean(s->set_alpha_to_one), ok);
    put(o, "rescale_betas_zero_snr", json_boolean(s->zero_terminal_snr), ok);
    put(o, "clip_sample", json_boolean(s->clip_sample), ok);
    if (s->final_sigma_min)
        put(o, "final_sigmas_type", json_string(s->final_sigma_min == 1 ? "sigma_min" : "zero"),
            ok);
    return o;
}

static json_t *tokenizer_json(const sdi_model *m, int *ok)
{
    if (!m->tokenizer)
        return json_null();
    json_t *o = json_object();
    put(o, "from", words(m->tokenizer_place), ok);
    put(o, "vocab_size", json_integer(sdi_tokenizer_vocab_size(m->tokenizer)), ok);
    return o;
}

static json_t *unmatched_json(const sdi_model *m, int *ok)
{
    json_t *list = json_array();
    for (int32_t i = 0; i < m->surplus_count; i++)
        *ok &= json_array_append_new(list, words(m->surplus[i])) == 0;
    return list;
}

static json_t *files_json(const sdi_model *m, int *ok)
{
    json_t *list = json_array();
    for (int32_t i = 0; i < m->file_count; i++)
        *ok &= json_array_append_new(list, words(m->files[i].name)) == 0;
    return list;
}

static void put_parts(const sdi_model *m, json_t *o, int *ok)
{
    const int32_t *has = m->config.has;
    uint64_t parameters = 0;
    for (int32_t i = 0; i < SDI_PART_COUNT; i++)
        if (m->parts[i].declared)
            parameters += sdi_weights_elements(&m->parts[i].weights);
    put(o, "parameters", json_integer((json_int_t)parameters), ok);
    put(o, "text", has[SDI_PART_TEXT] ? text_json(m, ok) : json_null(), ok);
    put(o, "unet", has[SDI_PART_UNET] ? unet_json(m, ok) : json_null(), ok);
    put(o, "vae", has[SDI_PART_VAE_ENCODER] || has[SDI_PART_VAE_DECODER] ? vae_json(m, ok)
                                                                        : json_null(), ok);
    sdi_describe_extra(m, o, ok);
    put(o, "schedule", has[SDI_PART_UNET] ? schedule_json(m, ok) : json_null(), ok);
}

sdiff_status sdi_model_describe_json(const sdi_env *env, const sdi_model *model, json_t **out)
{
    const sdi_model_config *c = &model->config;
    int ok = 1;
    json_t *o = json_object();
    put(o, "name", words(model->name), &ok);
    put(o, "layout", json_string(model->diffusers ? "diffusers folder" : "single file"), &ok);
    put(o, "files", files_json(model, &ok), &ok);
    put(o, "family", json_string(sdi_family_name(c->family)), &ok);
    put(o, "task", json_string(sdi_task_name(c->task)), &ok);
    if (c->has[SDI_PART_UNET]) {
        put(o, "prediction", json_string(sdi_prediction_name(c->schedule.prediction)), &ok);
        put(o, "prediction_from", json_string(origin_name(c->prediction_from)), &ok);
    }
    put(o, "config", model->config_place ? words(model->config_place) : json_null(), &ok);
    put_parts(model, o, &ok);
    put(o, "tokenizer", tokenizer_json(model, &ok), &ok);
    if (model->tokenizer_reason)
        put(o, "tokenizer_missing", words(model->tokenizer_reason), &ok);
    put(o, "unmatched", unmatched_json(model, &ok), &ok);
    put(o, "unmatched_count", json_integer(model->surplus_count), &ok);
    put(o, "ignored_count", json_integer(model->ignored_count), &ok);
    if (!ok) {
        json_decref(o);
        return sdi_fail(env, SDIFF_ERROR_NO_MEMORY, "not enough memory to describe %s",
                        model->name);
    }
    *out = o;
    return SDIFF_OK;
}

/* ---- text ------------------------------------------------------------------------------------ */

static void write_value(sdi_strbuf *b, const char *key, const json_t *value, int indent);

static void write_object(sdi_strbuf *b, const json_t *object, int indent)
{
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach((json_t *)object, key, value)
        write_value(b, key, value, indent);
}

/* Lists of numbers on one line, lists of names on lines of their own. */
static void write_list(sdi_strbuf *b, const json_t *list, int indent)
{
    const int names = json_is_string(json_array_get(list, 0));
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        if (names)
            sdi_strbuf_printf(b, "\n%*s%s", indent + 2, "", json_string_value(item));
        else
            sdi_strbuf_printf(b, " %lld", (long long)json_integer_value(item));
    }
    if (json_array_size(list) == 0)
        sdi_strbuf_printf(b, " none");
    sdi_strbuf_printf(b, "\n");
}

static void write_value(sdi_strbuf *b, const char *key, const json_t *value, int indent)
{
    sdi_strbuf_printf(b, "%*s%s:", indent, "", key);
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        sdi_strbuf_printf(b, "\n");
        write_object(b, value, indent + 2);
        return;
    case JSON_ARRAY:
        write_list(b, value, indent);
        return;
    case JSON_STRING: sdi_strbuf_printf(b, " %s\n", json_string_value(value)); return;
    case JSON_INTEGER:
        sdi_strbuf_printf(b, " %lld\n", (long long)json_integer_value(value));
        return;
    case JSON_REAL: sdi_strbuf_printf(b, " %g\n", json_real_value(value)); return;
    case JSON_NULL: sdi_strbuf_printf(b, " none\n"); return;
    default: sdi_strbuf_printf(b, " %s\n", json_is_true(value) ? "yes" : "no"); return;
    }
}

sdiff_status sdi_model_describe_text(const sdi_env *env, const sdi_model *model, char **out)
{
    json_t *json = NULL;
    sdi_strbuf text;
    *out = NULL;
    SDI_TRY(sdi_model_describe_json(env, model, &json));
    sdi_strbuf_init(&text, env);
    write_object(&text, json, 0);
    json_decref(json);
    *out = sdi_strbuf_take(&text);
    return *out ? SDIFF_OK : SDIFF_ERROR_NO_MEMORY;
}
