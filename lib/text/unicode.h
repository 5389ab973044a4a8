/* SPDX-License-Identifier: MIT
 *
 * Text as a list of code points, and the few questions about Unicode that tokenizers ask. The
 * tables are those of libutf8proc.
 */
#ifndef SDI_TEXT_UNICODE_H
#define SDI_TEXT_UNICODE_H

#include "base/env.h"

/* A growing list of code points; zero-initialise, free with sdi_codes_free. */
typedef struct sdi_codes {
    int32_t *at;
    size_t count, capacity;
} sdi_codes;

sdiff_status sdi_codes_push(const sdi_env *env, sdi_codes *codes, int32_t code);
void sdi_codes_free(const sdi_env *env, sdi_codes *codes);

/* Appends text[0..length). Each broken part becomes one U+FFFD: the longest start of a valid
 * sequence, at least one byte (Unicode 15, section 3.9, as Python and browsers do). */
sdiff_status sdi_codes_append_utf8(const sdi_env *env, sdi_codes *codes, const char *text,
                                   size_t length);

/* The UTF-8 form of one code point; returns its length, 1 to 4. */
size_t sdi_utf8_encode(int32_t code, unsigned char out[4]);

/* Normalization form C, in place. Linear in time, also for endless runs of combining marks. */
sdiff_status sdi_codes_nfc(const sdi_env *env, sdi_codes *codes);

typedef enum sdi_sigma {
    SDI_SIGMA_PLAIN = 0, // each character alone: capital sigma becomes U+03C3 (Rust's char)
    SDI_SIGMA_FINAL = 1  // at the end of a word U+03C2 (Python's str.lower)
} sdi_sigma;

/* Full lower-casing, in place. */
sdiff_status sdi_codes_lower(const sdi_env *env, sdi_codes *codes, sdi_sigma sigma);

int sdi_is_letter(int32_t code);          // general category L*
int sdi_is_number(int32_t code);          // general category N*
int sdi_is_other(int32_t code);           // general category C*: control, format, unassigned ...
int sdi_is_white_space(int32_t code);     // property White_Space
int sdi_is_python_space(int32_t code);    // White_Space and the separators U+001C to U+001F
int sdi_is_space_separator(int32_t code); // general category Zs

#endif
