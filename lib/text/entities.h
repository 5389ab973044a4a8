/* SPDX-License-Identifier: MIT
 *
 * HTML character references, as Python's html.unescape resolves them.
 */
#ifndef SDI_TEXT_ENTITIES_H
#define SDI_TEXT_ENTITIES_H

#include "text/unicode.h"

/* Appends `text` to `out` with references resolved once: numeric ones by the rules of HTML 5
 * (windows-1252 for 0x80 to 0x9f, nothing for invalid characters), the 253 names of HTML 4 and XML,
 * those of ISO 8859-1 also without the semicolon. The further names of HTML 5 stay literal. */
sdiff_status sdi_html_unescape(const sdi_env *env, const sdi_codes *text, sdi_codes *out);

#endif
