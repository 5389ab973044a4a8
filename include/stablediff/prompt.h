/* SPDX-License-Identifier: MIT
 *
 * What the library reads in a prompt: to show it to a user, or to compare it with other programs.
 */
#ifndef STABLEDIFF_PROMPT_H
#define STABLEDIFF_PROMPT_H

#include "tokenizer.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Parses a prompt as sdiff_pipeline_generate() does and tells the result as JSON:
 *
 *     {"parts": [[text, weight], …],                      joined by AND
 *      "schedule": [[last step, text], …],                "[from:to:when]", "[a|b]"
 *      "parsed": [[text, weight], …],                     "(a:1.2)", "[b]", "BREAK"
 *      "token_count": n,
 *      "chunks": [{"tokens": [77 ids], "multipliers": [77 numbers]}, …]}
 *
 * Each member reads the whole prompt on its own.
 *
 * @param prompt    UTF-8
 * @param variant   sdiff_tokenizer_variant
 * @param steps     1 … 100000: what the schedule is counted in
 * @param backtrack tokens that a comma may be back for a chunk to end there: 0 … 75, usually 20
 * @param json      receives the text, owned by the tokenizer until the next call
 * @return SDIFF_OK, INVALID_ARGUMENT, LIMIT, NO_MEMORY; text: sdiff_tokenizer_error()
 * @since 1.0
 */
SDIFF_API sdiff_status sdiff_prompt_describe(sdiff_tokenizer *tokenizer, const char *prompt,
                                             int32_t variant, int32_t steps, int32_t backtrack,
                                             const char **json);

#ifdef __cplusplus
}
#endif
#endif
