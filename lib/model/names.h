/* SPDX-License-Identifier: MIT
 *
 * How files name parameters. Networks declare diffusers' names; single files use those of the
 * original code (CompVis latent-diffusion, openai CLIP by way of transformers, OpenCLIP), moving
 * averages names without dots, and early diffusers files other words in their attention.
 */
#ifndef SDI_MODEL_NAMES_H
#define SDI_MODEL_NAMES_H

#include "model/model.h"

typedef enum sdi_layout {
    SDI_LAYOUT_DIFFUSERS = 0, // the declared names; also transformers' CLIP inside of single files
    SDI_LAYOUT_LDM, // the original's, also of the other networks (MiDaS, taesd)
    SDI_LAYOUT_LDM_EMA, // U-Net only: "model_ema.diffusion_modelinput_blocks00weight"
    SDI_LAYOUT_OPENCLIP // text only
} sdi_layout;

enum { SDI_NAME_MAX = 256, SDI_PREFIX_MAX = 64 };

typedef struct sdi_naming {
    sdi_part part;
    sdi_layout layout;
    char prefix[SDI_PREFIX_MAX]; // "model.diffusion_model."
    const sdi_unet_config *unet; // levels and layers number the blocks of the original U-Net
    int32_t vae_levels;          // and the levels of its decoder
} sdi_naming;

/* Where a parameter is in a file: a tensor, or equal rows of one. */
typedef struct sdi_alias {
    char name[SDI_NAME_MAX];
    int32_t piece, pieces; // 1 piece: the whole tensor
    int32_t heads;         // the pieces repeat for each of so many groups of rows
} sdi_alias;

/* Name number `choice` (from 0) that the parameter may have; 0 when there are no more. */
int sdi_name_in_file(const sdi_naming *naming, const char *param, int32_t choice, sdi_alias *alias);

/* For the name functions of each network: from a declared name to the original one, without
 * prefix. Return 0 where the original has no such parameter. */
int sdi_name_ldm_unet(const sdi_unet_config *config, const char *param, sdi_alias *alias);
int sdi_name_ldm_vae(int32_t levels, const char *param, sdi_alias *alias);
int sdi_name_openclip(const char *param, sdi_alias *alias);
int sdi_name_midas(const char *param, sdi_alias *alias);
int sdi_name_taesd(const char *param, sdi_alias *alias);

/* Reading a declared name from the front: each moves *p behind what it took, or returns 0. */
int sdi_take(const char **p, const char *word);
int sdi_take_index(const char **p, const char *word, int32_t *index); // "word", number, "."

typedef struct sdi_rename {
    const char *from, *to;
} sdi_rename;

/* Writes head and then rest, its beginning replaced by the first rule that fits; 0 if none does. */
int sdi_rename_rest(sdi_alias *alias, const char *head, const char *rest, const sdi_rename *rules,
                    size_t count);

#endif
