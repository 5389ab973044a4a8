/* SPDX-License-Identifier: MIT
 *
 * The pattern of openai/CLIP's simple_tokenizer, by hand on Unicode categories.
 */
#include "text/clip_split.h"

#include <string.h>

enum { LONG_S = 0x17f, YPOGEGRAMMENI = 0x345 };

int sdi_codes_match(const sdi_codes *text, size_t at, const char *word, sdi_clip_pattern pattern)
{
    const size_t length = strlen(word);
    if (text->count - at < length)
        return 0;
    for (size_t i = 0; i < length; i++) {
        const int32_t code = text->at[at + i];
        /* The text is lower case already; of what is left only the long s folds to a letter of
         * the pattern. */
        const int long_s =
            pattern == SDI_CLIP_PATTERN_IGNORE_CASE && code == LONG_S && word[i] == 's';
        if (code != word[i] && !long_s)
            return 0;
    }
    return 1;
}

typedef enum kind { SPACE, LETTER, NUMBER, SYMBOL } kind;

static kind kind_of(int32_t code, sdi_clip_pattern pattern)
{
    /* A mark whose capital is a letter: without regard to case Python's pattern takes it neither
     * for a letter nor for anything else, and passes over it. */
    if (code == YPOGEGRAMMENI && pattern == SDI_CLIP_PATTERN_IGNORE_CASE)
        return SPACE;
    if (sdi_is_letter(code))
        return LETTER;
    if (sdi_is_number(code))
        return NUMBER;
    return sdi_is_white_space(code) ? SPACE : SYMBOL;
}

/* Length of the fixed word that stands at `at`, 0 if none does. */
static size_t fixed_word(const sdi_codes *text, size_t at, sdi_clip_pattern pattern)
{
    static const char *const words[] = {SDI_CLIP_BOS, SDI_CLIP_EOS, "'s",  "'t", "'re",
                                        "'ve",        "'m",         "'ll", "'d"};
    const int32_t first = text->at[at];
    if (first != '\'' && first != '<')
        return 0;
    for (size_t i = pattern == SDI_CLIP_PATTERN_PLAIN ? 2 : 0; i < SDI_COUNT(words); i++)
        if (sdi_codes_match(text, at, words[i], pattern))
            return strlen(words[i]);
    return 0;
}

int sdi_clip_split(const sdi_codes *text, sdi_clip_pattern pattern, size_t *start, size_t *end)
{
    size_t i = *start;
    while (i < text->count && kind_of(text->at[i], pattern) == SPACE)
        i++;
    if (i == text->count)
        return 0;
    *start = i;
    const size_t fixed = fixed_word(text, i, pattern);
    const kind first = kind_of(text->at[i], pattern);
    if (fixed) {
        *end = i + fixed;
        return 1;
    }
    do
        i++;
    while (first != NUMBER && i < text->count && kind_of(text->at[i], pattern) == first);
    *end = i;
    return 1;
}
