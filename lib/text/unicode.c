/* SPDX-License-Identifier: MIT
 *
 * Code points: UTF-8 in and out, NFC, lower case, classes. The character data come from
 * libutf8proc; what is here is what that library leaves out or does through malloc.
 */
#include "text/unicode.h"

#include "base/memory.h"

#include <string.h>
#include <utf8proc.h>

enum { REPLACEMENT = 0xfffd, CAPITAL_SIGMA = 0x3a3, SMALL_SIGMA = 0x3c3, FINAL_SIGMA = 0x3c2 };

static sdiff_status reserve(const sdi_env *env, sdi_codes *codes, size_t extra)
{
    const size_t needed = codes->count + extra;
    if (needed <= codes->capacity)
        return SDIFF_OK;
    const size_t capacity = SDI_MAX(needed, 2 * codes->capacity + 64);
    int32_t *at = sdi_realloc(env, codes->at, capacity, sizeof *at);
    if (!at)
        return SDIFF_ERROR_NO_MEMORY;
    codes->at = at;
    codes->capacity = capacity;
    return SDIFF_OK;
}

sdiff_status sdi_codes_push(const sdi_env *env, sdi_codes *codes, int32_t code)
{
    SDI_TRY(reserve(env, codes, 1));
    codes->at[codes->count++] = code;
    return SDIFF_OK;
}

void sdi_codes_free(const sdi_env *env, sdi_codes *codes)
{
    sdi_free(env, codes->at);
    memset(codes, 0, sizeof *codes);
}

/* Length of the sequence that a lead byte announces, 0 if it is none, and the range of its second
 * byte, which excludes overlong forms, surrogates and what lies beyond U+10FFFF. */
static int lead(unsigned char byte, unsigned char *low, unsigned char *high)
{
    *low = 0x80;
    *high = 0xbf;
    if (byte < 0x80)
        return 1;
    if (byte >= 0xc2 && byte <= 0xdf)
        return 2;
    if (byte >= 0xe0 && byte <= 0xef) {
        *low = byte == 0xe0 ? 0xa0 : 0x80;
        *high = byte == 0xed ? 0x9f : 0xbf;
        return 3;
    }
    if (byte >= 0xf0 && byte <= 0xf4) {
        *low = byte == 0xf0 ? 0x90 : 0x80;
        *high = byte == 0xf4 ? 0x8f : 0xbf;
        return 4;
    }
    return 0;
}

/* Reads one code point or one broken part; returns the number of bytes used. */
static size_t decode(const unsigned char *s, size_t left, int32_t *code)
{
    unsigned char low = 0, high = 0;
    const int length = lead(s[0], &low, &high);
    *code = REPLACEMENT;
    if (length == 0)
        return 1;
    int32_t value = length == 1 ? s[0] : s[0] & (0x7f >> length);
    for (int i = 1; i < length; i++) {
        if ((size_t)i >= left || s[i] < low || s[i] > high)
            return (size_t)i;
        value = value << 6 | (s[i] & 0x3f);
        low = 0x80;
        high = 0xbf;
    }
    *code = value;
    return (size_t)length;
}

sdiff_status sdi_codes_append_utf8(const sdi_env *env, sdi_codes *codes, const char *text,
                                   size_t length)
{
    SDI_TRY(reserve(env, codes, length)); // never more code points than bytes
    for (size_t i = 0; i < length;)
        i += decode((const unsigned char *)text + i, length - i, &codes->at[codes->count++]);
    return SDIFF_OK;
}

size_t sdi_utf8_encode(int32_t code, unsigned char out[4])
{
    return (size_t)utf8proc_encode_char(code, out);
}

static int combining_class(int32_t code)
{
    return utf8proc_get_property(code)->combining_class;
}

/* Stable counting sort of a run of combining marks by class. utf8proc_decompose sorts by swapping
 * neighbours, which a hostile text turns into quadratic time. */
static void sort_marks(int32_t *marks, size_t count, int32_t *scratch)
{
    size_t start[257] = {0};
    for (size_t i = 0; i < count; i++)
        start[combining_class(marks[i]) + 1]++;
    for (int i = 0; i < 256; i++)
        start[i + 1] += start[i];
    for (size_t i = 0; i < count; i++)
        scratch[start[combining_class(marks[i])]++] = marks[i];
    memcpy(marks, scratch, count * sizeof *marks);
}

/* Canonical order: each run of marks (class not 0) sorted by class. */
static void order_marks(sdi_codes *codes, int32_t *scratch)
{
    for (size_t i = 0; i < codes->count; i++) {
        size_t end = i;
        int sorted = 1, previous = 0, now = 0;
        for (; end < codes->count && (now = combining_class(codes->at[end])) != 0; end++) {
            sorted &= now >= previous;
            previous = now;
        }
        if (!sorted)
            sort_marks(codes->at + i, end - i, scratch);
        i = end;
    }
}

static sdiff_status decompose(const sdi_env *env, const sdi_codes *codes, sdi_codes *out)
{
    for (size_t i = 0; i < codes->count; i++) {
        enum { LONGEST = 32 }; // canonical decompositions have at most 4
        SDI_TRY(reserve(env, out, LONGEST));
        int boundary = 0;
        const utf8proc_ssize_t n =
            utf8proc_decompose_char(codes->at[i], out->at + out->count, LONGEST,
                                    UTF8PROC_STABLE | UTF8PROC_DECOMPOSE, &boundary);
        if (n < 0 || n > LONGEST)
            return sdi_fail(env, SDIFF_ERROR_INTERNAL, "U+%04X cannot be normalised",
                            (unsigned)codes->at[i]);
        out->count += (size_t)n;
    }
    return SDIFF_OK;
}

static int is_ascii(const sdi_codes *codes)
{
    for (size_t i = 0; i < codes->count; i++)
        if (codes->at[i] >= 0x80)
            return 0;
    return 1;
}

sdiff_status sdi_codes_nfc(const sdi_env *env, sdi_codes *codes)
{
    if (is_ascii(codes))
        return SDIFF_OK;
    sdi_codes parts = {0};
    int32_t *scratch = NULL;
    sdiff_status status = decompose(env, codes, &parts);
    if (status == SDIFF_OK) {
        scratch = sdi_alloc(env, parts.count, sizeof *scratch);
        status = scratch ? SDIFF_OK : SDIFF_ERROR_NO_MEMORY;
    }
    if (status == SDIFF_OK) {
        order_marks(&parts, scratch);
        parts.count = (size_t)utf8proc_normalize_utf32(parts.at, (utf8proc_ssize_t)parts.count,
                                                       UTF8PROC_STABLE | UTF8PROC_COMPOSE);
        const sdi_codes old = *codes;
        *codes = parts;
        parts = old;
    }
    sdi_free(env, scratch);
    sdi_codes_free(env, &parts);
    return status;
}

/* Property Case_Ignorable: marks, format characters, modifiers, and Word_Break = MidLetter,
 * MidNumLet or Single_Quote. */
static int is_case_ignorable(int32_t code)
{
    static const int32_t middle[] = {0x27,   0x2e,   0x3a,   0xb7,   0x387,  0x55f,
                                     0x5f4,  0x2018, 0x2019, 0x2024, 0x2027, 0xfe13,
                                     0xfe52, 0xfe55, 0xff07, 0xff0e, 0xff1a};
    for (size_t i = 0; i < SDI_COUNT(middle); i++)
        if (code == middle[i])
            return 1;
    switch (utf8proc_category(code)) {
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_SK: return 1;
    default: return 0;
    }
}

/* Property Cased, without the characters that are case-ignorable as well. */
static int is_cased(int32_t code)
{
    static const int32_t others[][2] = {{0xaa, 0xaa},      {0xba, 0xba},       {0x2160, 0x217f},
                                        {0x24b6, 0x24e9},  {0x1f130, 0x1f149}, {0x1f150, 0x1f169},
                                        {0x1f170, 0x1f189}};
    for (size_t i = 0; i < SDI_COUNT(others); i++)
        if (code >= others[i][0] && code <= others[i][1])
            return 1;
    const utf8proc_category_t category = utf8proc_category(code);
    return category == UTF8PROC_CATEGORY_LU || category == UTF8PROC_CATEGORY_LL ||
           category == UTF8PROC_CATEGORY_LT;
}

/* Updates "the last character that is not case-ignorable is cased" by one more character. */
static int now_cased(int cased, int32_t code)
{
    return is_case_ignorable(code) ? cased : is_cased(code);
}

/* Unicode's condition Final_Sigma: a cased letter before and none behind. One walk in each
 * direction, so that long runs of ignorable characters cost nothing extra. */
static void lower_sigmas(sdi_codes *codes)
{
    int before = 0, behind = 0;
    for (size_t i = 0; i < codes->count; i++) {
        int32_t *code = &codes->at[i];
        if (*code == CAPITAL_SIGMA && !before)
            *code = SMALL_SIGMA;
        before = now_cased(before, *code);
    }
    for (size_t i = codes->count; i-- > 0;) {
        int32_t *code = &codes->at[i];
        if (*code == CAPITAL_SIGMA)
            *code = behind ? SMALL_SIGMA : FINAL_SIGMA;
        behind = now_cased(behind, *code);
    }
}

sdiff_status sdi_codes_lower(const sdi_env *env, sdi_codes *codes, sdi_sigma sigma)
{
    enum { CAPITAL_I_DOT = 0x130, DOT_ABOVE = 0x307 };
    if (sigma == SDI_SIGMA_FINAL)
        lower_sigmas(codes);
    size_t dotted = 0;
    for (size_t i = 0; i < codes->count; i++)
        dotted += codes->at[i] == CAPITAL_I_DOT;
    SDI_TRY(reserve(env, codes, dotted));
    /* U+0130 is the one character whose lower case has two code points. From the end, so that
     * the list can grow in place. */
    size_t to = codes->count + dotted;
    for (size_t i = codes->count; i-- > 0;) {
        const int32_t code = codes->at[i];
        if (code == CAPITAL_I_DOT)
            codes->at[--to] = DOT_ABOVE;
        codes->at[--to] = code == CAPITAL_I_DOT ? 'i' : utf8proc_tolower(code);
    }
    codes->count += dotted;
    return SDIFF_OK;
}

int sdi_is_letter(int32_t code)
{
    const utf8proc_category_t category = utf8proc_category(code);
    return category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO;
}

int sdi_is_number(int32_t code)
{
    const utf8proc_category_t category = utf8proc_category(code);
    return category >= UTF8PROC_CATEGORY_ND && category <= UTF8PROC_CATEGORY_NO;
}

int sdi_is_other(int32_t code)
{
    const utf8proc_category_t category = utf8proc_category(code);
    return category == UTF8PROC_CATEGORY_CN || category >= UTF8PROC_CATEGORY_CC;
}

int sdi_is_space_separator(int32_t code)
{
    return utf8proc_category(code) == UTF8PROC_CATEGORY_ZS;
}

int sdi_is_white_space(int32_t code)
{
    if ((code >= 0x9 && code <= 0xd) || code == 0x85 || code == 0x2028 || code == 0x2029)
        return 1;
    return sdi_is_space_separator(code);
}

int sdi_is_python_space(int32_t code)
{
    return (code >= 0x1c && code <= 0x1f) || sdi_is_white_space(code);
}
