/* SPDX-License-Identifier: MIT
 *
 * Declares a part's network and finds the tensor of each of its parameters. Names come from
 * names.h; shapes may differ by ones at their end (a 1x1 convolution is a linear layer).
 */
#include "model/load.h"

#include "base/log.h"
#include "base/memory.h"
#include "nn/plan.h"

#include <stdio.h>
#include <string.h>

/* ---- declaring ------------------------------------------------------------------------------- */

static sdiff_status declare_unet(const sdi_env *env, sdi_weights *weights,
                                 const sdi_unet_config *config)
{
    const sdi_unet_args args = {.config = config, .b = 1, .h = 8 << config->levels,
                                .w = 8 << config->levels, .context_tokens = 77};
    return sdi_nn_declare(env, weights, sdi_unet_net, &args);
}

static sdiff_status declare_vae(const sdi_env *env, sdi_weights *weights, sdi_part part,
                                const sdi_vae_config *config)
{
    const sdi_vae_args args = {.config = config, .b = 1, .h = 8 << config->levels,
                               .w = 8 << config->levels};
    return sdi_nn_declare(env, weights,
                          part == SDI_PART_VAE_ENCODER ? sdi_vae_encoder_net : sdi_vae_decoder_net,
                          &args);
}

static sdiff_status declare_text(const sdi_env *env, sdi_weights *weights,
                                 const sdi_clip_config *config)
{
    const sdi_clip_args args = {.config = config, .b = 1, .t = config->positions};
    return sdi_nn_declare(env, weights, sdi_clip_text_net, &args);
}

static sdiff_status declare_control(const sdi_env *env, sdi_weights *weights,
                                    const sdi_unet_config *config)
{
    const sdi_unet_args args = {.config = config, .b = 1, .h = 8 << config->levels,
                                .w = 8 << config->levels, .context_tokens = 77};
    return sdi_nn_declare(env, weights, sdi_controlnet_net, &args);
}

static sdiff_status declare_depth(const sdi_env *env, sdi_weights *weights,
                                  const sdi_dpt_config *config)
{
    const sdi_dpt_args args = {.config = config, .b = 1, .h = 64, .w = 64};
    return sdi_nn_declare(env, weights, sdi_dpt_net, &args);
}

static sdiff_status declare_taesd(const sdi_env *env, sdi_weights *weights, sdi_part part,
                                  const sdi_taesd_config *config)
{
    const sdi_taesd_args args = {.config = config, .b = 1, .h = 8 << config->levels,
                                 .w = 8 << config->levels};
    return sdi_nn_declare(env, weights, part == SDI_PART_TAESD_ENCODER ? sdi_taesd_encoder_net
                                                                      : sdi_taesd_decoder_net,
                          &args);
}

static const sdi_kernels *kernels_for(const sdi_loader *l, sdi_part part, sdi_kernels *reference)
{
    const sdi_kernels *const *given = l->options->kernels;
    if (given[part])
        return given[part];
    if (given[SDI_PART_UNET])
        return given[SDI_PART_UNET];
    sdi_kernels_init(reference, 0, SDI_F32); // to declare; nothing will be packed
    return reference;
}

static sdiff_status declare(sdi_loader *l, sdi_part part)
{
    const sdi_model_config *c = &l->model->config;
    sdi_model_part *p = &l->model->parts[part];
    const char *name = p->config_name ? p->config_name : l->model->files[p->file].name;
    sdi_kernels reference;
    sdi_weights_init(&p->weights, &l->model->env, kernels_for(l, part, &reference));
    p->declared = 1;
    p->naming.vae_levels = c->vae.levels;
    switch (part) {
    case SDI_PART_TEXT:
        SDI_TRY(sdi_config_check_clip(l->env, name, &c->clip));
        return declare_text(l->env, &p->weights, &c->clip);
    case SDI_PART_UNET:
        SDI_TRY(sdi_config_check_unet(l->env, name, &c->unet));
        return declare_unet(l->env, &p->weights, &c->unet);
    case SDI_PART_CONTROL:
        SDI_TRY(sdi_config_check_control(l->env, name, &c->unet));
        return declare_control(l->env, &p->weights, &c->unet);
    case SDI_PART_DEPTH:
        SDI_TRY(sdi_config_check_dpt(l->env, name, &c->depth));
        return declare_depth(l->env, &p->weights, &c->depth);
    case SDI_PART_TAESD_ENCODER:
    case SDI_PART_TAESD_DECODER:
        SDI_TRY(sdi_config_check_taesd(l->env, name, &c->taesd));
        return declare_taesd(l->env, &p->weights, part, &c->taesd);
    default:
        SDI_TRY(sdi_config_check_vae(l->env, name, &c->vae));
        return declare_vae(l->env, &p->weights, part, &c->vae);
    }
}

/* ---- matching -------------------------------------------------------------------------------- */

static int32_t without_ones(int32_t rank, const int64_t *shape)
{
    while (rank > 0 && shape[rank - 1] == 1)
        rank--;
    return rank;
}

static int same_shape(const sdi_tensor_info *found, const sdi_param *p, int32_t pieces)
{
    const int32_t rank = without_ones(found->rank, found->shape);
    if (rank != without_ones(p->rank, p->shape))
        return 0;
    for (int32_t i = 0; i < rank; i++)
        if (found->shape[i] != p->shape[i] * (i == 0 ? pieces : 1))
            return 0;
    return 1;
}

static const char *shape_text(char *text, size_t size, int32_t rank, const int64_t *shape,
                              int32_t pieces)
{
    size_t length = (size_t)snprintf(text, size, "[");
    for (int32_t i = 0; i < rank && length < size; i++)
        length += (size_t)snprintf(text + length, size - length, "%s%lld", i ? "," : "",
                                   (long long)(shape[i] * (i == 0 ? pieces : 1)));
    if (length < size)
        snprintf(text + length, size - length, "]");
    return text;
}

/* The parameter's tensor, or -1; then *alias is the name that was looked for first. */
static int32_t find(const sdi_tensor_file *file, const sdi_naming *naming, const char *param,
                    sdi_alias *alias)
{
    sdi_alias found;
    for (int32_t choice = 0; sdi_name_in_file(naming, param, choice, &found); choice++) {
        const int32_t index = sdi_tensor_file_find(file, found.name);
        if (choice == 0 || index >= 0)
            *alias = found;
        if (index >= 0)
            return index;
    }
    return -1;
}

static sdiff_status check(const sdi_loader *l, const sdi_model_file *file, sdi_part part,
                          const sdi_param *p, const sdi_alias *alias, const sdi_tensor_info *info)
{
    char found[128], needed[128];
    if (!same_shape(info, p, alias->pieces))
        return sdi_fail(l->env, SDIFF_ERROR_MISMATCH,
                        "%s: tensor '%s' has the shape %s, the %s needs %s", file->name,
                        alias->name, shape_text(found, sizeof found, info->rank, info->shape, 1),
                        sdi_part_name(part),
                        shape_text(needed, sizeof needed, p->rank, p->shape, alias->pieces));
    if (!sdi_dtype_is_float(info->dtype))
        return sdi_fail(l->env, SDIFF_ERROR_MISMATCH,
                        "%s: tensor '%s' holds %s numbers, weights must be F16, BF16, F32 or F64",
                        file->name, alias->name, sdi_dtype_name(info->dtype));
    return SDIFF_OK;
}

static sdiff_status fail_missing(const sdi_loader *l, sdi_part part, int32_t first, int32_t count)
{
    const sdi_model_part *p = &l->model->parts[part];
    const sdi_model_file *file = &l->model->files[p->file];
    const sdi_param *param = &p->weights.params[first];
    sdi_alias alias = {.pieces = 1};
    char needed[128], more[48] = "";
    snprintf(alias.name, sizeof alias.name, "%s", param->name);
    find(file->file, &p->naming, param->name, &alias);
    if (count > 1)
        snprintf(more, sizeof more, ", and %d more", (int)(count - 1));
    return sdi_fail(l->env, SDIFF_ERROR_MISMATCH,
                    "%s: tensor '%s' is missing, the %s needs it with the shape %s%s", file->name,
                    alias.name, sdi_part_name(part),
                    shape_text(needed, sizeof needed, param->rank, param->shape, alias.pieces),
                    more);
}

static sdiff_status match(sdi_loader *l, sdi_part part)
{
    sdi_model_part *p = &l->model->parts[part];
    sdi_model_file *file = &l->model->files[p->file];
    int32_t missing = 0, first = 0;
    p->refs = sdi_zalloc(l->env, (uint64_t)p->weights.count, sizeof *p->refs);
    if (!p->refs)
        return SDIFF_ERROR_NO_MEMORY;
    for (int32_t i = 0; i < p->weights.count; i++) {
        sdi_alias alias;
        const sdi_param *param = &p->weights.params[i];
        const int32_t index = find(file->file, &p->naming, param->name, &alias);
        if (index < 0) {
            first = missing++ ? first : i;
            continue;
        }
        SDI_TRY(check(l, file, part, param, &alias, sdi_tensor_file_info(file->file, index)));
        file->state[index] = SDI_TENSOR_BOUND;
        p->refs[i] = (sdi_tensor_ref){file->file, file->name, index, alias.piece, alias.pieces,
                                      alias.heads};
    }
    return missing ? fail_missing(l, part, first, missing) : SDIFF_OK;
}

sdiff_status sdi_match_part(sdi_loader *l, sdi_part part)
{
    SDI_TRY(declare(l, part));
    return match(l, part);
}

/* ---- what is left over ----------------------------------------------------------------------- */

/* Tensors of a part that is in the file but has no use: not asked for, or replaced. */
void sdi_skip_part(const sdi_model *m, sdi_part part)
{
    static const char *const words[SDI_PART_COUNT][2] = {
        [SDI_PART_TEXT] = {"", NULL},
        [SDI_PART_UNET] = {"", NULL},
        [SDI_PART_VAE_ENCODER] = {"encoder.", "quant_conv."},
        [SDI_PART_VAE_DECODER] = {"decoder.", "post_quant_conv."},
        [SDI_PART_DEPTH] = {"", NULL},
        [SDI_PART_CONTROL] = {"", NULL},
        [SDI_PART_TAESD_ENCODER] = {"encoder.", NULL},
        [SDI_PART_TAESD_DECODER] = {"decoder.", NULL}};
    const sdi_model_part *p = &m->parts[part];
    const sdi_model_file *file = &m->files[p->file];
    char prefix[2 * SDI_PREFIX_MAX];
    for (int32_t w = 0; w < 2 && words[part][w]; w++) {
        snprintf(prefix, sizeof prefix, "%s%s", p->naming.prefix, words[part][w]);
        for (int32_t i = 0; i < sdi_tensor_file_count(file->file); i++)
            if (file->state[i] == SDI_TENSOR_FREE &&
                strncmp(sdi_tensor_file_info(file->file, i)->name, prefix, strlen(prefix)) == 0)
                file->state[i] = SDI_TENSOR_SKIPPED;
    }
}

static int is_surplus(const sdi_model_file *file, int32_t index)
{
    return file->state[index] == SDI_TENSOR_FREE &&
           !sdi_is_companion(sdi_tensor_file_info(file->file, index)->name);
}

static int32_t count_surplus(sdi_model *m, const char **names)
{
    int32_t count = 0;
    m->ignored_count = 0;
    for (int32_t f = 0; f < m->file_count; f++)
        for (int32_t i = 0; i < sdi_tensor_file_count(m->files[f].file); i++) {
            if (!is_surplus(&m->files[f], i)) {
                m->ignored_count += m->files[f].state[i] != SDI_TENSOR_BOUND;
                continue;
            }
            if (names)
                names[count] = sdi_tensor_file_info(m->files[f].file, i)->name;
            count++;
        }
    return count;
}

sdiff_status sdi_collect_surplus(sdi_loader *l)
{
    sdi_model *m = l->model;
    for (int32_t part = 0; part < SDI_PART_COUNT; part++)
        if (m->parts[part].file >= 0 && !m->parts[part].declared)
            sdi_skip_part(m, (sdi_part)part);
    m->surplus_count = count_surplus(m, NULL);
    m->surplus = sdi_alloc(l->env, (uint64_t)m->surplus_count, sizeof *m->surplus);
    if (!m->surplus)
        return SDIFF_ERROR_NO_MEMORY;
    count_surplus(m, m->surplus);
    if (m->surplus_count)
        sdi_warn(l->env, "%s: %d tensors have no use, the first is '%s'", m->name,
                 (int)m->surplus_count, m->surplus[0]);
    return SDIFF_OK;
}
