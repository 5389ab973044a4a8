/* SPDX-License-Identifier: MIT
 *
 * The choices of names that a parameter may have in a file.
 */
#include "model/names.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int sdi_take(const char **p, const char *word)
{
    const size_t length = strlen(word);
    if (strncmp(*p, word, length) != 0)
        return 0;
    *p += length;
    return 1;
}

int sdi_take_index(const char **p, const char *word, int32_t *index)
{
    const char *q = *p;
    if (!sdi_take(&q, word) || *q < '0' || *q > '9')
        return 0;
    int32_t value = 0;
    for (; *q >= '0' && *q <= '9' && value < 100000; q++)
        value = 10 * value + (*q - '0');
    if (*q != '.')
        return 0;
    *p = q + 1;
    *index = value;
    return 1;
}

int sdi_rename_rest(sdi_alias *alias, const char *head, const char *rest, const sdi_rename *rules,
                    size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const char *tail = rest;
        if (!sdi_take(&tail, rules[i].from))
            continue;
        const int length = snprintf(alias->name, sizeof alias->name, "%s%s%s", head, rules[i].to,
                                    tail);
        return length > 0 && length < (int)sizeof alias->name;
    }
    return 0;
}

static int put_prefix(sdi_alias *alias, const char *prefix)
{
    const size_t p = strlen(prefix), n = strlen(alias->name);
    if (p + n >= sizeof alias->name)
        return 0;
    memmove(alias->name + p, alias->name, n + 1);
    memcpy(alias->name, prefix, p);
    return 1;
}

/* Files of diffusers before 0.17: the autoencoder's attention was an AttentionBlock. */
static int old_attention(const char *param, sdi_alias *alias)
{
    static const sdi_rename words[] = {
        {"to_q.", "query."}, {"to_k.", "key."}, {"to_v.", "value."}, {"to_out.0.", "proj_attn."}};
    const char *place = strstr(param, "attentions.");
    if (!place || strstr(param, "transformer_blocks"))
        return 0;
    int32_t index = 0;
    const char *rest = place;
    if (!sdi_take_index(&rest, "attentions.", &index))
        return 0;
    char head[SDI_NAME_MAX];
    const size_t length = (size_t)(rest - param);
    if (length >= sizeof head)
        return 0;
    memcpy(head, param, length);
    head[length] = '\0';
    return sdi_rename_rest(alias, head, rest, words, SDI_COUNT(words));
}

static int diffusers_name(const sdi_naming *naming, const char *param, int32_t choice,
                          sdi_alias *alias)
{
    static const sdi_rename unchanged[] = {{"", ""}}, bare[] = {{"text_model.", ""}};
    if (choice == 0)
        return sdi_rename_rest(alias, "", param, unchanged, 1);
    if (choice > 1)
        return 0;
    if (naming->part == SDI_PART_TEXT) // transformers without the CLIPTextModel around
        return sdi_rename_rest(alias, "", param, bare, 1);
    return old_attention(param, alias);
}

/* LitEma: the name of the parameter inside of "model.", without its dots. */
static int ema_name(const sdi_naming *naming, const char *param, sdi_alias *alias)
{
    if (!sdi_name_ldm_unet(naming->unet, param, alias) || !put_prefix(alias, "diffusion_model"))
        return 0;
    char *to = alias->name;
    for (const char *from = alias->name; *from; from++)
        if (*from != '.')
            *to++ = *from;
    *to = '\0';
    return 1;
}

static int original_name(const sdi_naming *naming, const char *param, sdi_alias *alias)
{
    if (naming->layout == SDI_LAYOUT_OPENCLIP)
        return sdi_name_openclip(param, alias);
    if (naming->layout == SDI_LAYOUT_LDM_EMA)
        return ema_name(naming, param, alias);
    if (naming->part == SDI_PART_UNET || naming->part == SDI_PART_CONTROL)
        return sdi_name_ldm_unet(naming->unet, param, alias);
    if (naming->part == SDI_PART_DEPTH)
        return sdi_name_midas(param, alias);
    if (naming->part == SDI_PART_TAESD_ENCODER || naming->part == SDI_PART_TAESD_DECODER)
        return sdi_name_taesd(param, alias);
    return sdi_name_ldm_vae(naming->vae_levels, param, alias);
}

int sdi_name_in_file(const sdi_naming *naming, const char *param, int32_t choice, sdi_alias *alias)
{
    memset(alias, 0, sizeof *alias);
    alias->pieces = alias->heads = 1;
    if (naming->layout == SDI_LAYOUT_DIFFUSERS) {
        if (!diffusers_name(naming, param, choice, alias))
            return 0;
    } else if (choice > 0 || !original_name(naming, param, alias)) {
        return 0;
    }
    return put_prefix(alias, naming->prefix);
}
