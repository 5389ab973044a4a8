/* SPDX-License-Identifier: MIT
 *
 * A model as a diffusers folder: a folder for each network with its configuration and weights, the
 * scheduler's configuration, the tokenizer's files, and model_index.json.
 */
#include "model/save_file.h"

#include "base/log.h"
#include "base/memory.h"
#include "io/out_file.h"
#include "io/source.h"
#include "model/load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { SMALL_FILE = 64 << 20 };

typedef struct folder {
    const sdi_env *env;
    const sdi_model *model;
    const sdi_save_options *options;
    const char *path;
    sdi_model_config config; // of what is written
} folder;

/* ---- small files ----------------------------------------------------------------------------- */

static sdiff_status make_folder(const folder *f, const char *path)
{
    if (mkdir(path, 0777) == 0 || (errno == EEXIST && sdi_is_folder(path)))
        return SDIFF_OK;
    return sdi_fail(f->env, SDIFF_ERROR_IO, "%s: the folder cannot be made: %s", path,
                    strerror(errno));
}

static sdiff_status make_part_folder(const folder *f, const char *name)
{
    char *path = sdi_join(f->env, f->path, "/", name);
    const sdiff_status status = path ? make_folder(f, path) : SDIFF_ERROR_NO_MEMORY;
    sdi_free(f->env, path);
    return status;
}

static sdiff_status write_bytes(const folder *f, const char *path, const void *bytes, uint64_t size)
{
    sdi_out_file *file = NULL;
    SDI_TRY(sdi_out_open(f->env, path, &file));
    const sdiff_status status = sdi_out_write(f->env, file, bytes, size);
    if (status == SDIFF_OK)
        return sdi_out_commit(f->env, file);
    sdi_out_abandon(f->env, file);
    return status;
}

/* Takes the JSON over; NULL is lack of memory. `name` lies below the folder. */
static sdiff_status write_json(const folder *f, const char *name, json_t *json)
{
    char *path = sdi_join(f->env, f->path, "/", name);
    char *text = sdi_save_dump(json, JSON_INDENT(2) | JSON_SORT_KEYS);
    sdiff_status status = path ? SDIFF_OK : SDIFF_ERROR_NO_MEMORY;
    if (status == SDIFF_OK && !text)
        status = sdi_fail(f->env, SDIFF_ERROR_NO_MEMORY, "%s: no memory for it", path);
    if (status == SDIFF_OK)
        status = write_bytes(f, path, text, strlen(text));
    free(text);
    sdi_free(f->env, path);
    return status;
}

/* ---- networks -------------------------------------------------------------------------------- */

static sdiff_status write_weights(const folder *f, const char *name, const sdi_part *parts,
                                  int32_t count)
{
    static const char *const metadata[] = {"format", "pt", NULL};
    sdi_save_file file = {.env = f->env, .model = f->model, .options = f->options};
    char *path = sdi_join(f->env, f->path, "/", name);
    sdiff_status status = path ? SDIFF_OK : SDIFF_ERROR_NO_MEMORY;
    for (int32_t i = 0; i < count && status == SDIFF_OK; i++) {
        const sdi_naming naming = {.part = parts[i], .layout = SDI_LAYOUT_DIFFUSERS,
                                   .unet = &f->config.unet};
        status = sdi_save_add_part(&file, &naming, f->config.clip.layers);
    }
    if (status == SDIFF_OK)
        status = sdi_save_write(&file, path, metadata);
    sdi_save_free(&file);
    sdi_free(f->env, path);
    return status;
}

static sdiff_status write_unet(const folder *f)
{
    static const sdi_part parts[] = {SDI_PART_UNET};
    if (!f->config.has[SDI_PART_UNET])
        return SDIFF_OK;
    if (!sdi_save_unet_is_expressible(&f->config.unet))
        return sdi_fail(f->env, SDIFF_ERROR_UNSUPPORTED,
                        "the U-Net of '%s' has heads or a middle block that diffusers' "
                        "configuration cannot describe", sdi_model_name(f->model));
    SDI_TRY(make_part_folder(f, "unet"));
    SDI_TRY(write_json(f, "unet/config.json", sdi_save_unet_config(&f->config.unet)));
    return write_weights(f, "unet/diffusion_pytorch_model.safetensors", parts, 1);
}

static sdiff_status write_control(const folder *f)
{
    static const sdi_part parts[] = {SDI_PART_CONTROL};
    SDI_TRY(write_json(f, "config.json", sdi_save_control_config(&f->config)));
    return write_weights(f, "diffusion_pytorch_model.safetensors", parts, 1);
}

static sdiff_status write_taesd(const folder *f)
{
    static const sdi_part parts[] = {SDI_PART_TAESD_ENCODER, SDI_PART_TAESD_DECODER};
    SDI_TRY(write_json(f, "config.json", sdi_save_taesd_config(&f->config.taesd)));
    return write_weights(f, "diffusion_pytorch_model.safetensors", parts, 2);
}

/* `name`: "vae/" inside of a pipeline's folder, "" for an autoencoder alone. */
static sdiff_status write_vae(const folder *f, const char *name)
{
    static const sdi_part parts[] = {SDI_PART_VAE_ENCODER, SDI_PART_VAE_DECODER};
    char config[64], weights[64];
    if (!f->config.has[SDI_PART_VAE_ENCODER] && !f->config.has[SDI_PART_VAE_DECODER])
        return SDIFF_OK;
    if (f->config.vae.stem_channels)
        sdi_warn(f->env, "the autoencoder of '%s' begins with %d channels and its first level has "
                 "%d, which diffusers itself cannot build", sdi_model_name(f->model),
                 (int)f->config.vae.stem_channels, (int)f->config.vae.block_out_channels[0]);
    if (name[0])
        SDI_TRY(make_part_folder(f, "vae"));
    snprintf(config, sizeof config, "%sconfig.json", name);
    snprintf(weights, sizeof weights, "%sdiffusion_pytorch_model.safetensors", name);
    SDI_TRY(write_json(f, config, sdi_save_vae_config(&f->config.vae)));
    return write_weights(f, weights, parts, 2);
}

static sdiff_status write_text(const folder *f)
{
    static const sdi_part parts[] = {SDI_PART_TEXT};
    if (!f->config.has[SDI_PART_TEXT])
        return SDIFF_OK;
    SDI_TRY(make_part_folder(f, "text_encoder"));
    SDI_TRY(write_json(f, "text_encoder/config.json", sdi_save_clip_config(&f->config.clip)));
    return write_weights(f, "text_encoder/model.safetensors", parts, 1);
}

/* The depth estimator in a folder, and in another what makes pictures ready for it. */
static sdiff_status write_estimator(const folder *f, const char *network, const char *extractor)
{
    static const sdi_part parts[] = {SDI_PART_DEPTH};
    char config[64], weights[64], input[64];
    snprintf(config, sizeof config, "%sconfig.json", network);
    snprintf(weights, sizeof weights, "%smodel.safetensors", network);
    snprintf(input, sizeof input, "%spreprocessor_config.json", extractor);
    SDI_TRY(write_json(f, config, sdi_save_dpt_config(&f->config.depth)));
    SDI_TRY(write_json(f, input, sdi_save_extractor(&f->config.depth_input)));
    return write_weights(f, weights, parts, 1);
}

static sdiff_status write_depth(const folder *f)
{
    if (!f->config.has[SDI_PART_DEPTH])
        return SDIFF_OK;
    SDI_TRY(make_part_folder(f, "depth_estimator"));
    SDI_TRY(make_part_folder(f, "feature_extractor"));
    return write_estimator(f, "depth_estimator/", "feature_extractor/");
}

/* ---- tokenizer ------------------------------------------------------------------------------- */

/* Copies a file of the tokenizer's folder where it exists. */
static sdiff_status copy_file(const folder *f, const char *place, const char *name, int *found)
{
    char *from = NULL, *to = sdi_join(f->env, f->path, "/tokenizer", name), *text = NULL;
    size_t size = 0;
    sdiff_status status = to ? sdi_follow_join(f->env, place, name, &from) : SDIFF_ERROR_NO_MEMORY;
    *found = status == SDIFF_OK && sdi_exists(from);
    if (*found)
        status = sdi_read_small_file(f->env, from, SMALL_FILE, &text, &size);
    if (*found && status == SDIFF_OK)
        status = write_bytes(f, to, text, size);
    sdi_free(f->env, text);
    sdi_free(f->env, from);
    sdi_free(f->env, to);
    return status;
}

static sdiff_status copy_pair(const folder *f, const char *place, int *found)
{
    int merges = 0;
    SDI_TRY(copy_file(f, place, "/vocab.json", found));
    return *found ? copy_file(f, place, "/merges.txt", &merges) : SDIFF_OK;
}

/* What id fills up a prompt is a matter of the tokenizer's files: "!" is 0 in every CLIP
 * vocabulary. */
static sdiff_status write_pad(const folder *f)
{
    const sdi_clip_config *c = &f->config.clip;
    const char *pad = c->pad_token == 0 ? "!" : "<|endoftext|>";
    return write_json(f, "tokenizer/tokenizer_config.json",
                      json_pack("{s:s, s:s, s:s, s:i, s:s, s:s}", "tokenizer_class",
                                "CLIPTokenizer", "bos_token", "<|startoftext|>", "eos_token",
                                "<|endoftext|>", "model_max_length", (int)c->positions,
                                "pad_token", pad, "unk_token", "<|endoftext|>"));
}

static sdiff_status copy_tokenizer(const folder *f, const char *place)
{
    char *inside = NULL;
    int found = 0;
    SDI_TRY(copy_pair(f, place, &found));
    if (found)
        return SDIFF_OK;
    SDI_TRY(sdi_follow_join(f->env, place, "/tokenizer", &inside));
    const sdiff_status status = copy_pair(f, inside, &found);
    sdi_free(f->env, inside);
    return status;
}

static sdiff_status write_tokenizer(const folder *f)
{
    const char *place = f->model->tokenizer_place;
    if (!f->config.has[SDI_PART_TEXT])
        return SDIFF_OK;
    SDI_TRY(make_part_folder(f, "tokenizer"));
    if (place && sdi_is_folder(place))
        SDI_TRY(copy_tokenizer(f, place));
    return write_pad(f);
}

/* ---- together -------------------------------------------------------------------------------- */

static sdiff_status write_pipeline(const folder *f)
{
    SDI_TRY(write_unet(f));
    SDI_TRY(write_vae(f, "vae/"));
    SDI_TRY(write_text(f));
    SDI_TRY(write_depth(f));
    SDI_TRY(write_tokenizer(f));
    SDI_TRY(make_part_folder(f, "scheduler"));
    SDI_TRY(write_json(f, "scheduler/scheduler_config.json",
                       sdi_save_scheduler_config(&f->config)));
    return write_json(f, "model_index.json", sdi_save_model_index(&f->config));
}

sdiff_status sdi_save_diffusers(const sdi_env *env, const sdi_model *model, const char *path,
                                const sdi_save_options *options)
{
    folder f = {.env = env, .model = model, .options = options, .path = path,
                .config = model->config};
    for (int32_t p = 0; p < SDI_PART_COUNT; p++)
        f.config.has[p] = model->parts[p].declared;
    if (f.config.clip.penultimate && f.config.clip.layers > 1) { // the last layer has no use
        f.config.clip.penultimate = 0;
        f.config.clip.layers--;
    }
    SDI_TRY(make_folder(&f, path));
    switch (model->config.family) {
    case SDI_FAMILY_CONTROLNET: return write_control(&f);
    case SDI_FAMILY_DEPTH: return write_estimator(&f, "", "");
    case SDI_FAMILY_TAESD: return write_taesd(&f);
    default: break;
    }
    if (!f.config.has[SDI_PART_UNET] && !f.config.has[SDI_PART_TEXT])
        return write_vae(&f, "");
    return write_pipeline(&f);
}
