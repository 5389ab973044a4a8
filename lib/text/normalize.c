/* SPDX-License-Identifier: MIT
 *
 * The three normalisations of CLIP's tokenizers. They agree on plain text; docs/traps.md lists
 * where they do not.
 *
 *   hf_fast  tokenizer.json of CLIP: NFC, white space to one blank, each character lower
 *   hf_slow  transformers' BasicTokenizer(strip_accents=False): drops control characters, blanks
 *            around Chinese characters, NFC, str.lower
 *   openai   simple_tokenizer with ftfy reduced to NFC: two html.unescape, white space, str.lower
 */
#include "text/normalize.h"

#include "base/memory.h"
#include "text/entities.h"

#include <string.h>

static sdiff_status copy(const sdi_env *env, const sdi_codes *text, sdi_codes *out)
{
    for (size_t i = 0; i < text->count; i++)
        SDI_TRY(sdi_codes_push(env, out, text->at[i]));
    return SDIFF_OK;
}

/* Runs of white space become one blank. */
static void collapse(sdi_codes *text)
{
    size_t count = 0;
    for (size_t i = 0; i < text->count; i++) {
        const int space = sdi_is_white_space(text->at[i]);
        if (!space)
            text->at[count++] = text->at[i];
        else if (i == 0 || !sdi_is_white_space(text->at[i - 1]))
            text->at[count++] = ' ';
    }
    text->count = count;
}

/* Python's str.strip. */
static void strip(sdi_codes *text)
{
    size_t start = 0;
    while (text->count > 0 && sdi_is_python_space(text->at[text->count - 1]))
        text->count--;
    while (start < text->count && sdi_is_python_space(text->at[start]))
        start++;
    if (start > 0) {
        text->count -= start;
        memmove(text->at, text->at + start, text->count * sizeof *text->at);
    }
}

static sdiff_status normalize_fast(const sdi_env *env, const sdi_codes *text, sdi_codes *out)
{
    SDI_TRY(copy(env, text, out));
    SDI_TRY(sdi_codes_nfc(env, out));
    collapse(out);
    return sdi_codes_lower(env, out, SDI_SIGMA_PLAIN);
}

/* The blocks that BERT calls Chinese characters. */
static int is_chinese(int32_t code)
{
    static const int32_t blocks[][2] = {{0x4e00, 0x9fff},   {0x3400, 0x4dbf},   {0x20000, 0x2a6df},
                                        {0x2a700, 0x2b73f}, {0x2b740, 0x2b81f}, {0x2b820, 0x2ceaf},
                                        {0xf900, 0xfaff},   {0x2f800, 0x2fa1f}};
    for (size_t i = 0; i < SDI_COUNT(blocks); i++)
        if (code >= blocks[i][0] && code <= blocks[i][1])
            return 1;
    return 0;
}

static sdiff_status normalize_slow(const sdi_env *env, const sdi_codes *text, sdi_codes *out)
{
    for (size_t i = 0; i < text->count; i++) {
        const int32_t code = text->at[i];
        const int space = code == '\t' || code == '\n' || code == '\r';
        if (space || sdi_is_space_separator(code)) {
            SDI_TRY(sdi_codes_push(env, out, ' '));
        } else if (is_chinese(code)) {
            SDI_TRY(sdi_codes_push(env, out, ' '));
            SDI_TRY(sdi_codes_push(env, out, code));
            SDI_TRY(sdi_codes_push(env, out, ' '));
        } else if (code != 0xfffd && !sdi_is_other(code)) {
            SDI_TRY(sdi_codes_push(env, out, code));
        }
    }
    SDI_TRY(sdi_codes_nfc(env, out));
    return sdi_codes_lower(env, out, SDI_SIGMA_FINAL);
}

static sdiff_status unescape_twice(const sdi_env *env, sdi_codes *text)
{
    sdi_codes once = {0};
    sdiff_status status = sdi_html_unescape(env, text, &once);
    text->count = 0;
    if (status == SDIFF_OK)
        status = sdi_html_unescape(env, &once, text);
    sdi_codes_free(env, &once);
    return status;
}

static sdiff_status normalize_openai(const sdi_env *env, const sdi_codes *text, sdi_codes *out)
{
    SDI_TRY(copy(env, text, out));
    SDI_TRY(sdi_codes_nfc(env, out));
    SDI_TRY(unescape_twice(env, out));
    strip(out);
    collapse(out);
    return sdi_codes_lower(env, out, SDI_SIGMA_FINAL);
}

sdiff_status sdi_clip_normalize(const sdi_env *env, sdi_tokenizer_variant variant,
                                const sdi_codes *text, sdi_codes *out)
{
    switch (variant) {
    case SDI_TOKENIZER_HF_FAST: return normalize_fast(env, text, out);
    case SDI_TOKENIZER_HF_SLOW: return normalize_slow(env, text, out);
    case SDI_TOKENIZER_OPENAI: return normalize_openai(env, text, out);
    }
    return sdi_fail(env, SDIFF_ERROR_INVALID_ARGUMENT, "%d is not a variant of the tokenizer",
                    (int)variant);
}
