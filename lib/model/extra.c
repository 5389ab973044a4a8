/* SPDX-License-Identifier: MIT
 *
 * Networks that come beside a model or stand alone in a file: ControlNets, depth estimators, tiny
 * autoencoders. Found by name, configured by shapes.
 */
#include "model/load.h"

#include <stdio.h>
#include <string.h>

/* ---- ControlNet ------------------------------------------------------------------------------ */

sdi_found sdi_find_control(const sdi_tensor_file *file)
{
    static const char *const prefixes[] = {"control_model.", "controlnet.", ""};
    for (size_t i = 0; i < SDI_COUNT(prefixes); i++) {
        if (sdi_probe(file, prefixes[i], "input_hint_block.0.weight") &&
            sdi_probe(file, prefixes[i], "input_blocks.0.0.weight"))
            return (sdi_found){SDI_LAYOUT_LDM, prefixes[i]};
        if (sdi_probe(file, prefixes[i], "controlnet_cond_embedding.conv_in.weight") &&
            sdi_probe(file, prefixes[i], "conv_in.weight"))
            return (sdi_found){SDI_LAYOUT_DIFFUSERS, prefixes[i]};
    }
    return (sdi_found){SDI_LAYOUT_LDM, NULL};
}

/* The hint network: convolutions at even places of a list, every second one of stride 2. */
static sdiff_status infer_hint(const sdi_loader *l, const sdi_tensor_file *file, const char *name,
                               const char *prefix, sdi_unet_config *c)
{
    const sdi_tensor_info *first = sdi_probe(file, prefix, "input_hint_block.0.weight");
    SDI_TRY(sdi_dimension(l->env, name, first, 1, 1024, &c->conditioning_channels));
    SDI_TRY(sdi_dimension(l->env, name, first, 0, SDI_MAX_CHANNELS, &c->hint_channels[0]));
    c->hint_levels = 1;
    for (int32_t i = 1; i < SDI_UNET_MAX_LEVELS; i++) {
        const sdi_tensor_info *conv =
            sdi_probe(file, prefix, "input_hint_block.%d.weight", (int)(4 * i));
        if (!conv)
            break;
        SDI_TRY(sdi_dimension(l->env, name, conv, 0, SDI_MAX_CHANNELS, &c->hint_channels[i]));
        c->hint_levels = i + 1;
    }
    return SDIFF_OK;
}

/* In diffusers' names the configuration tells all; without one, one of the two published kinds. */
static sdiff_status infer_family(const sdi_loader *l, const sdi_tensor_file *file,
                                 const char *name, const char *prefix, sdi_unet_config *c)
{
    static const char middle[] = "mid_block.attentions.0.";
    const sdi_tensor_info *key =
        sdi_probe(file, prefix, "%stransformer_blocks.0.attn2.to_k.weight", middle);
    const sdi_tensor_info *in = sdi_probe(file, prefix, "%sproj_in.weight", middle);
    c->linear_projection = in && in->rank == 2;
    return key ? sdi_dimension(l->env, name, key, 1, SDI_MAX_CHANNELS, &c->cross_attention_dim)
               : SDIFF_OK;
}

static sdiff_status set_control(sdi_loader *l, int32_t file, sdi_found found)
{
    sdi_model *m = l->model;
    sdi_unet_config *c = &m->config.unet;
    const sdi_tensor_file *tensors = m->files[file].file;
    const char *name = m->files[file].name;
    sdi_part_set(l, SDI_PART_CONTROL, file, found.layout, found.prefix);
    m->config.family = SDI_FAMILY_CONTROLNET;
    if (found.layout == SDI_LAYOUT_LDM) {
        SDI_TRY(sdi_infer_unet(l->env, tensors, name, found.prefix, c));
        SDI_TRY(infer_hint(l, tensors, name, found.prefix, c));
    } else {
        SDI_TRY(infer_family(l, tensors, name, found.prefix, c));
    }
    const int second = c->linear_projection || c->cross_attention_dim == 1024;
    c->out_channels = c->in_channels;
    c->head_dim = second ? 64 : 0;
    for (int32_t i = 0; i < SDI_UNET_MAX_LEVELS; i++)
        c->heads[i] = 8;
    return SDIFF_OK;
}

/* ---- tiny autoencoder ------------------------------------------------------------------------ */

static const char *layer_format(const sdi_naming *naming, sdi_alias *alias, int32_t decoder,
                                int32_t index, const char *rest)
{
    char param[64];
    snprintf(param, sizeof param, "%s.layers.%d.%s", decoder ? "decoder" : "encoder", (int)index,
             rest);
    return sdi_name_in_file(naming, param, 0, alias) ? alias->name : "";
}

static const sdi_tensor_info *layer_tensor(const sdi_tensor_file *file, const sdi_naming *naming,
                                           int32_t decoder, int32_t index, const char *rest)
{
    sdi_alias alias;
    const int32_t found =
        sdi_tensor_file_find(file, layer_format(naming, &alias, decoder, index, rest));
    return found < 0 ? NULL : sdi_tensor_file_info(file, found);
}

/* Bare lists: 0 is the encoder's first convolution, 1 the decoder's. */
sdi_found sdi_find_taesd(const sdi_tensor_file *file, int32_t decoder)
{
    static const char *const prefixes[] = {"", "taesd.", "first_stage_model.", "vae."};
    static const char *const bare[2][3] = {{"", "encoder.", "taesd_encoder."},
                                           {"", "decoder.", "taesd_decoder."}};
    for (size_t i = 0; i < SDI_COUNT(prefixes); i++)
        if (sdi_probe(file, prefixes[i], "%s.0.weight",
                      decoder ? "decoder.layers" : "encoder.layers") &&
            sdi_probe(file, prefixes[i], "%s.conv.0.weight",
                      decoder ? "decoder.layers.2" : "encoder.layers.1"))
            return (sdi_found){SDI_LAYOUT_DIFFUSERS, prefixes[i]};
    for (size_t i = 0; i < SDI_COUNT(bare[0]); i++)
        if (sdi_probe(file, bare[decoder][i], "%d.weight", (int)decoder) &&
            sdi_probe(file, bare[decoder][i], "%d.conv.0.weight", decoder ? 3 : 1))
            return (sdi_found){SDI_LAYOUT_LDM, bare[decoder][i]};
    return (sdi_found){SDI_LAYOUT_LDM, NULL};
}

/* Walks one half: a convolution opens each level (the decoder's closes it), blocks follow. */
static sdiff_status infer_half(const sdi_loader *l, const sdi_tensor_file *file, const char *name,
                               const sdi_naming *naming, int32_t decoder, sdi_taesd_config *c)
{
    int32_t *channels = decoder ? c->decoder_channels : c->encoder_channels;
    int32_t *blocks = decoder ? c->decoder_blocks : c->encoder_blocks;
    int32_t *ends[2] = {&c->image_channels, &c->latent_channels}; // first and last convolution
    int32_t index = 0, levels = 0, skipped = decoder ? 2 : 1;
    const sdi_tensor_info *conv = layer_tensor(file, naming, decoder, 0, "weight");
    SDI_TRY(sdi_dimension(l->env, name, conv, 1, 1024, ends[decoder]));
    for (; levels < SDI_TAESD_MAX_LEVELS; levels++) {
        if (!layer_tensor(file, naming, decoder, index + skipped, "conv.0.weight"))
            break;
        SDI_TRY(sdi_dimension(l->env, name, conv, 0, SDI_MAX_CHANNELS, &channels[levels]));
        index += skipped;
        blocks[levels] = 0;
        for (; layer_tensor(file, naming, decoder, index, "conv.0.weight"); index++)
            blocks[levels]++;
        // an upsampler without parameters comes before all but the decoder's last convolution
        if (decoder && !layer_tensor(file, naming, decoder, index, "weight"))
            index++;
        conv = layer_tensor(file, naming, decoder, index, "weight");
        if (!conv)
            return sdi_fail(l->env, SDIFF_ERROR_MISMATCH,
                            "%s: the tiny autoencoder's %s has no convolution at layer %d", name,
                            decoder ? "decoder" : "encoder", (int)index);
        skipped = 1;
    }
    if (levels == 0 || (c->levels && c->levels != levels))
        return sdi_fail(l->env, SDIFF_ERROR_MISMATCH,
                        "%s: the tiny autoencoder has %d and %d levels in its halves", name,
                        (int)c->levels, (int)levels);
    c->levels = levels;
    return sdi_dimension(l->env, name, conv, 0, 1024, ends[!decoder]);
}

static sdiff_status set_taesd(sdi_loader *l, int32_t file, const sdi_found found[2])
{
    sdi_model *m = l->model;
    m->config.family = SDI_FAMILY_TAESD;
    m->config.taesd.levels = 0;
    for (int32_t i = 0; i < 2; i++) {
        const sdi_part part = (sdi_part)(SDI_PART_TAESD_ENCODER + i);
        if (!found[i].prefix)
            continue;
        sdi_part_set(l, part, file, found[i].layout, found[i].prefix);
        SDI_TRY(infer_half(l, m->files[file].file, m->files[file].name, &m->parts[part].naming, i,
                           &m->config.taesd));
    }
    return SDIFF_OK;
}

/* ---- together -------------------------------------------------------------------------------- */

static int only(const sdi_loader *l, uint32_t parts)
{
    return l->options->components && !(l->options->components & ~parts);
}

sdiff_status sdi_open_extra(sdi_loader *l, int32_t file, int32_t nothing_else, int32_t *taken)
{
    const sdi_tensor_file *tensors = l->model->files[file].file;
    const uint32_t tiny = 1 << SDI_PART_TAESD_ENCODER | 1 << SDI_PART_TAESD_DECODER;
    *taken = 1;
    if (nothing_else || only(l, 1 << SDI_PART_CONTROL)) {
        const sdi_found control = sdi_find_control(tensors);
        if (control.prefix)
            return set_control(l, file, control);
    }
    if (nothing_else || only(l, tiny)) {
        const sdi_found halves[2] = {sdi_find_taesd(tensors, 0), sdi_find_taesd(tensors, 1)};
        if (halves[0].prefix || halves[1].prefix)
            return set_taesd(l, file, halves);
    }
    *taken = 0;
    const sdi_found depth = sdi_find_depth(tensors);
    if (!depth.prefix)
        return SDIFF_OK;
    *taken = nothing_else;
    if (nothing_else)
        l->model->config.family = SDI_FAMILY_DEPTH;
    sdi_part_set(l, SDI_PART_DEPTH, file, depth.layout, depth.prefix);
    return sdi_infer_depth(l->env, tensors, l->model->files[file].name,
                           &l->model->parts[SDI_PART_DEPTH].naming, &l->model->config);
}

int sdi_is_extra(sdi_family family)
{
    return family == SDI_FAMILY_CONTROLNET || family == SDI_FAMILY_DEPTH ||
           family == SDI_FAMILY_TAESD;
}
