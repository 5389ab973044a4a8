/* SPDX-License-Identifier: MIT
 *
 * The parts that are no model's own, as JSON.
 */
#include "model/load.h"

static void put(json_t *object, const char *key, json_t *value, int *ok)
{
    *ok &= json_object_set_new(object, key, value) == 0;
}

static json_t *numbers(const int32_t *values, int32_t count, int *ok)
{
    json_t *list = json_array();
    for (int32_t i = 0; i < count; i++)
        *ok &= json_array_append_new(list, json_integer(values[i])) == 0;
    return list;
}

static json_t *control_json(const sdi_model *m, int *ok)
{
    const sdi_unet_config *c = &m->config.unet;
    json_t *o = json_object();
    put(o, "in_channels", json_integer(c->in_channels), ok);
    put(o, "block_out_channels", numbers(c->block_out_channels, c->levels, ok), ok);
    put(o, "layers_per_block", numbers(c->layers_per_block, c->levels, ok), ok);
    put(o, "cross_attention_dim", json_integer(c->cross_attention_dim), ok);
    put(o, "hint_channels", numbers(c->hint_channels, c->hint_levels, ok), ok);
    put(o, "conditioning_channels", json_integer(c->conditioning_channels), ok);
    put(o, "global_pool", json_boolean(m->config.control.global_pool), ok);
    sdi_describe_counts(o, &m->parts[SDI_PART_CONTROL], ok);
    return o;
}

static json_t *depth_json(const sdi_model *m, int *ok)
{
    const sdi_dpt_config *c = &m->config.depth;
    const sdi_depth_input *input = &m->config.depth_input;
    json_t *o = json_object();
    put(o, "hidden_size", json_integer(c->hidden_size), ok);
    put(o, "num_hidden_layers", json_integer(c->layers), ok);
    put(o, "num_attention_heads", json_integer(c->heads), ok);
    put(o, "stage_channels", numbers(c->stage_channels, c->stages, ok), ok);
    put(o, "stage_layers", numbers(c->stage_layers, c->stages, ok), ok);
    put(o, "width", json_integer(input->width), ok);
    put(o, "height", json_integer(input->height), ok);
    put(o, "keep_aspect", json_boolean(input->keep_aspect), ok);
    sdi_describe_counts(o, &m->parts[SDI_PART_DEPTH], ok);
    return o;
}

static json_t *taesd_json(const sdi_model *m, int *ok)
{
    static const char *const halves[] = {"encoder", "decoder"};
    const sdi_taesd_config *c = &m->config.taesd;
    json_t *o = json_object();
    put(o, "latent_channels", json_integer(c->latent_channels), ok);
    put(o, "levels", json_integer(c->levels), ok);
    for (int32_t i = 0; i < 2; i++) {
        const sdi_part part = (sdi_part)(SDI_PART_TAESD_ENCODER + i);
        json_t *half = m->config.has[part] ? json_object() : json_null();
        if (m->config.has[part])
            sdi_describe_counts(half, &m->parts[part], ok);
        put(o, halves[i], half, ok);
    }
    return o;
}

void sdi_describe_extra(const sdi_model *m, json_t *object, int *ok)
{
    const int32_t *has = m->config.has;
    if (has[SDI_PART_CONTROL])
        put(object, "controlnet", control_json(m, ok), ok);
    if (has[SDI_PART_DEPTH])
        put(object, "depth", depth_json(m, ok), ok);
    if (has[SDI_PART_TAESD_ENCODER] || has[SDI_PART_TAESD_DECODER])
        put(object, "taesd", taesd_json(m, ok), ok);
}
