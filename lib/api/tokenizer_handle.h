/* SPDX-License-Identifier: MIT
 *
 * Inside sdiff_tokenizer.
 */
#ifndef SDI_API_TOKENIZER_HANDLE_H
#define SDI_API_TOKENIZER_HANDLE_H

#include "api/handle.h"

struct sdiff_tokenizer {
    sdiff_context *context;
    sdiff_model *model; // the owner of `tokenizer`, or
    sdi_tokenizer *own; // opened here
    const sdi_tokenizer *tokenizer;
    sdi_error error;
    int32_t pad;
    char *description; // of the last prompt
};

#endif
