/* SPDX-License-Identifier: MIT
 *
 * The autoencoder and the text encoder from names and shapes; and what these do not tell: head
 * counts, prediction type, scale factor. docs/formats.md lists each rule.
 */
#include "model/load.h"

#include "base/log.h"
#include "base/memory.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- autoencoder ----------------------------------------------------------------------------- */

typedef struct walk {
    const sdi_env *env;
    const sdi_tensor_file *file;
    const char *name, *prefix;
    sdi_vae_config *config;
} walk;

typedef struct words {
    const char *block;    // format of level and layer
    const char *in, *out; // the convolutions at the ends, in the words of both layouts
    const char *attention;
    int32_t more;     // layers beyond layers_per_block: 1 in decoders
    int32_t backward; // levels count from the latents
} words;

static sdiff_status walk_levels(const walk *w, const words *names)
{
    sdi_vae_config *c = w->config;
    int32_t channels[SDI_VAE_MAX_LEVELS], levels = 0, layers = 0;
    char block[SDI_NAME_MAX];
    for (;; levels++) {
        snprintf(block, sizeof block, names->block, (int)levels, 0);
        const sdi_tensor_info *conv = sdi_probe(w->file, w->prefix, "%s", block);
        if (!conv)
            break;
        if (levels == SDI_VAE_MAX_LEVELS)
            return sdi_fail(w->env, SDIFF_ERROR_LIMIT, "%s: the autoencoder has more than %d "
                            "levels", w->name, SDI_VAE_MAX_LEVELS);
        SDI_TRY(sdi_dimension(w->env, w->name, conv, 0, SDI_MAX_CHANNELS, &channels[levels]));
    }
    for (;; layers++) {
        snprintf(block, sizeof block, names->block, 0, (int)layers);
        if (layers > SDI_MAX_LAYERS || !sdi_probe(w->file, w->prefix, "%s", block))
            break;
    }
    c->levels = levels;
    c->layers_per_block = SDI_MAX(layers - names->more, 1);
    for (int32_t i = 0; i < levels; i++)
        c->block_out_channels[i] = channels[names->backward ? levels - 1 - i : i];
    return SDIFF_OK;
}

static sdiff_status walk_ends(const walk *w, const words *names, int32_t decoder)
{
    sdi_vae_config *c = w->config;
    const sdi_tensor_info *in = sdi_probe(w->file, w->prefix, "%s", names->in);
    const sdi_tensor_info *out = sdi_probe(w->file, w->prefix, "%s", names->out);
    if (!in || !out)
        return sdi_fail(w->env, SDIFF_ERROR_MISMATCH,
                        "%s: the autoencoder's tensor '%s%s' is missing", w->name, w->prefix,
                        in ? names->out : names->in);
    int32_t image = 0, latent = 0;
    SDI_TRY(sdi_dimension(w->env, w->name, decoder ? out : in, decoder ? 0 : 1, 1024, &image));
    SDI_TRY(sdi_dimension(w->env, w->name, decoder ? in : out, decoder ? 1 : 0, 1024, &latent));
    if (!decoder) {
        SDI_TRY(sdi_dimension(w->env, w->name, in, 0, SDI_MAX_CHANNELS, &c->stem_channels));
        if (c->stem_channels == c->block_out_channels[0])
            c->stem_channels = 0;
    }
    c->image_channels = image;
    c->latent_channels = decoder ? latent : latent / 2; // means and variances
    c->mid_attention = sdi_probe(w->file, w->prefix, "%s", names->attention) != NULL;
    return SDIFF_OK;
}

sdiff_status sdi_infer_vae(const sdi_env *env, const sdi_tensor_file *file, const char *name,
                           sdi_found found, sdi_vae_config *config)
{
    static const words encoder[] = {
        {"encoder.down_blocks.%d.resnets.%d.conv2.weight", "encoder.conv_in.weight",
         "encoder.conv_out.weight", "encoder.mid_block.attentions.0.group_norm.weight", 0, 0},
        {"encoder.down.%d.block.%d.conv2.weight", "encoder.conv_in.weight",
         "encoder.conv_out.weight", "encoder.mid.attn_1.norm.weight", 0, 0}};
    static const words decoder[] = {
        {"decoder.up_blocks.%d.resnets.%d.conv2.weight", "decoder.conv_in.weight",
         "decoder.conv_out.weight", "decoder.mid_block.attentions.0.group_norm.weight", 1, 1},
        {"decoder.up.%d.block.%d.conv2.weight", "decoder.conv_in.weight",
         "decoder.conv_out.weight", "decoder.mid.attn_1.norm.weight", 1, 0}};
    const walk w = {env, file, name, found.prefix, config};
    const int original = found.layout == SDI_LAYOUT_LDM;
    const double scale = config->scaling_factor; // that of the model, if this is a replacement
    sdi_vae_config_init(config);
    config->scaling_factor = scale;
    const int encodes = sdi_probe(file, found.prefix, "encoder.conv_in.weight") != NULL;
    const words *names = encodes ? &encoder[original] : &decoder[original];
    SDI_TRY(walk_levels(&w, names));
    SDI_TRY(walk_ends(&w, names, !encodes));
    config->quant_conv = sdi_probe(file, found.prefix, "quant_conv.weight") != NULL ||
                         sdi_probe(file, found.prefix, "post_quant_conv.weight") != NULL;
    if (config->levels == 0)
        return sdi_fail(env, SDIFF_ERROR_MISMATCH, "%s: the autoencoder has no blocks (%s%s)", name,
                        found.prefix, encodes ? "encoder" : "decoder");
    return SDIFF_OK;
}

/* ---- text encoder ---------------------------------------------------------------------------- */

static const sdi_tensor_info *find_param(const sdi_tensor_file *file, const sdi_naming *naming,
                                         const char *param)
{
    sdi_alias alias;
    for (int32_t choice = 0; sdi_name_in_file(naming, param, choice, &alias); choice++) {
        const int32_t index = sdi_tensor_file_find(file, alias.name);
        if (index >= 0)
            return sdi_tensor_file_info(file, index);
    }
    return NULL;
}

static sdiff_status param_size(const sdi_env *env, const sdi_tensor_file *file, const char *name,
                               const sdi_naming *naming, const char *param, int32_t axis,
                               int32_t maximum, int32_t *out)
{
    const sdi_tensor_info *info = find_param(file, naming, param);
    if (!info)
        return sdi_fail(env, SDIFF_ERROR_MISMATCH,
                        "%s: the text encoder's '%s' is missing", name, param);
    return sdi_dimension(env, name, info, axis, maximum, out);
}

static int32_t count_layers(const sdi_tensor_file *file, const sdi_naming *naming)
{
    char param[SDI_NAME_MAX];
    for (int32_t i = 0; i < 256; i++) {
        snprintf(param, sizeof param, "text_model.encoder.layers.%d.layer_norm1.weight", (int)i);
        if (!find_param(file, naming, param))
            return i;
    }
    return 256;
}

sdiff_status sdi_infer_clip(const sdi_env *env, const sdi_tensor_file *file, const char *name,
                            const sdi_naming *naming, sdi_clip_config *c)
{
    sdi_clip_config_init(c);
    SDI_TRY(param_size(env, file, name, naming, "text_model.embeddings.token_embedding.weight", 0,
                       1 << 24, &c->vocab_size));
    SDI_TRY(param_size(env, file, name, naming, "text_model.embeddings.token_embedding.weight", 1,
                       SDI_MAX_CHANNELS, &c->hidden_size));
    SDI_TRY(param_size(env, file, name, naming, "text_model.embeddings.position_embedding.weight",
                       0, 1 << 16, &c->positions));
    SDI_TRY(param_size(env, file, name, naming, "text_model.encoder.layers.0.mlp.fc1.weight", 0,
                       4 * SDI_MAX_CHANNELS, &c->intermediate_size));
    c->layers = count_layers(file, naming);
    // Every published CLIP has heads of 64; the numbers of ViT-L/14 and ViT-H serve other widths.
    const int open = naming->layout == SDI_LAYOUT_OPENCLIP || c->hidden_size == 1024;
    c->heads = c->hidden_size % 64 == 0 ? c->hidden_size / 64 : open ? 16 : 12;
    c->act = open ? SDI_ACT_GELU : SDI_ACT_QUICK_GELU;
    // 23 layers of ViT-H are a file whose unused last layer was left away, as diffusers does
    c->penultimate = open && !(c->hidden_size == 1024 && c->layers == 23);
    c->bos_token = c->vocab_size - 2;
    c->eos_token = c->vocab_size - 1;
    c->pad_token = open ? 0 : c->eos_token;
    return SDIFF_OK;
}

/* ---- what shapes do not tell ----------------------------------------------------------------- */

sdi_family sdi_infer_family(const sdi_model *model)
{
    const sdi_model_config *c = &model->config;
    if (!c->has[SDI_PART_UNET]) {
        const int text = c->has[SDI_PART_TEXT];
        return !text ? SDI_FAMILY_VAE
                     : c->clip.act == SDI_ACT_GELU ? SDI_FAMILY_SD2 : SDI_FAMILY_SD1;
    }
    if (c->unet.cross_attention_dim == 0)
        return SDI_FAMILY_UNCONDITIONAL;
    if (c->unet.linear_projection || c->unet.cross_attention_dim == 1024 ||
        model->parts[SDI_PART_TEXT].naming.layout == SDI_LAYOUT_OPENCLIP)
        return SDI_FAMILY_SD2;
    return SDI_FAMILY_SD1;
}

sdi_task sdi_infer_task(const sdi_model_config *config)
{
    const int32_t latent = config->unet.out_channels;
    if (!config->has[SDI_PART_UNET] || config->unet.in_channels == latent)
        return SDI_TASK_TEXT;
    if (config->unet.in_channels == 2 * latent + 1)
        return SDI_TASK_INPAINT;
    if (config->unet.in_channels == latent + 1)
        return SDI_TASK_DEPTH;
    return SDI_TASK_EDIT;
}

void sdi_infer_heads(sdi_model_config *config)
{
    sdi_unet_config *c = &config->unet;
    c->head_dim = config->family == SDI_FAMILY_SD2 ? 64
                : config->family == SDI_FAMILY_UNCONDITIONAL ? 32 : 0;
    for (int32_t i = 0; i < SDI_UNET_MAX_LEVELS; i++)
        c->heads[i] = 8;
}

/* Standard deviation of a float tensor's values. */
static sdiff_status deviation(const sdi_env *env, sdi_tensor_file *file, int32_t index, double *out)
{
    const sdi_tensor_info *info = sdi_tensor_file_info(file, index);
    const void *data = NULL;
    void *owned = NULL;
    *out = 0;
    if (!sdi_dtype_is_float(info->dtype) || info->count == 0 || info->count > 1 << 20)
        return SDIFF_OK;
    SDI_TRY(sdi_tensor_file_data(env, file, index, &data, &owned));
    float *values = sdi_alloc(env, info->count, sizeof *values);
    if (values) {
        double sum = 0, squares = 0;
        sdi_convert_to_f32(values, data, info->dtype, (size_t)info->count);
        for (uint64_t i = 0; i < info->count; i++)
            sum += values[i];
        for (uint64_t i = 0; i < info->count; i++)
            squares += (values[i] - sum / (double)info->count) *
                       (values[i] - sum / (double)info->count);
        *out = sqrt(squares / (double)info->count);
    }
    sdi_free(env, owned);
    sdi_free(env, values);
    return values ? SDIFF_OK : SDIFF_ERROR_NO_MEMORY;
}

/* SD 2.0 and 2.1 exist as 768-pixel models of v-prediction and 512-pixel ones of epsilon, with the
 * same names and shapes. The bias of the last attention's first norm is spread more widely in the
 * former (the limit of 0.09 is the one in use elsewhere); untrained zeros count as the former. */
static sdiff_status guess_v(const sdi_loader *l, int32_t file, const char *prefix, int32_t *v)
{
    sdi_tensor_file *tensors = l->model->files[file].file;
    const sdi_unet_config *c = &l->model->config.unet;
    char name[SDI_NAME_MAX];
    int32_t last = -1;
    double spread = 0;
    for (int32_t i = 0; i < c->levels; i++)
        last += c->layers_per_block[i] + 1;
    snprintf(name, sizeof name, "%soutput_blocks.%d.1.transformer_blocks.0.norm1.bias", prefix,
             (int)last);
    const int32_t index = sdi_tensor_file_find(tensors, name);
    if (index >= 0)
        SDI_TRY(deviation(l->env, tensors, index, &spread));
    *v = !(spread > 0 && spread <= 0.09);
    return SDIFF_OK;
}

sdiff_status sdi_infer_prediction(const sdi_loader *l, int32_t file)
{
    sdi_model_config *c = &l->model->config;
    const sdi_tensor_file *tensors = l->model->files[file].file;
    const char *said = sdi_tensor_file_metadata(tensors, "modelspec.prediction_type");
    c->prediction_from = SDI_FROM_FILE;
    if (said && (strcmp(said, "v") == 0 || strcmp(said, "v_prediction") == 0))
        c->schedule.prediction = SDI_PREDICT_V;
    else if (said && strncmp(said, "eps", 3) == 0)
        c->schedule.prediction = SDI_PREDICT_EPSILON;
    else if (sdi_tensor_file_find(tensors, "v_pred") >= 0)
        c->schedule.prediction = SDI_PREDICT_V;
    else
        c->prediction_from = SDI_FROM_DEFAULT;
    c->schedule.zero_terminal_snr = sdi_tensor_file_find(tensors, "ztsnr") >= 0;
    if (c->prediction_from != SDI_FROM_DEFAULT || c->family != SDI_FAMILY_SD2 ||
        c->task != SDI_TASK_TEXT)
        return SDIFF_OK;
    int32_t v = 0;
    SDI_TRY(guess_v(l, file, l->model->parts[SDI_PART_UNET].naming.prefix, &v));
    c->schedule.prediction = v ? SDI_PREDICT_V : SDI_PREDICT_EPSILON;
    c->prediction_from = SDI_FROM_FILE;
    return SDIFF_OK;
}
