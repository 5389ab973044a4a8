/* SPDX-License-Identifier: MIT
 *
 * What each program does to a prompt before it is cut into words.
 */
#ifndef SDI_TEXT_NORMALIZE_H
#define SDI_TEXT_NORMALIZE_H

#include "text/tokenizer.h"
#include "text/unicode.h"

/* Appends the normalised form of `text` to the empty list `out`. */
sdiff_status sdi_clip_normalize(const sdi_env *env, sdi_tokenizer_variant variant,
                                const sdi_codes *text, sdi_codes *out);

#endif
