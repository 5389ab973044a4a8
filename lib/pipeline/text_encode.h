/* SPDX-License-Identifier: MIT
 *
 * From prompts to what cross-attention is given.
 */
#ifndef SDI_PIPELINE_TEXT_ENCODE_H
#define SDI_PIPELINE_TEXT_ENCODE_H

#include "pipeline/session.h"

/* The ids of a prompt as they are fed to the model: [77], cut with a warning, padded per model. */
sdiff_status sdi_prompt_ids(sdi_session *session, const char *prompt, int32_t *ids);

/* Plans the text encoder for `b` rows of ids. */
sdiff_status sdi_text_plan(sdi_session *session, int64_t b, int32_t clip_skip, sdi_plan **out);
/* Contexts [b, positions, hidden] of ids [b, positions]; the plan and arena must be there. */
sdiff_status sdi_text_run(sdi_session *session, sdi_plan *plan, const int32_t *ids,
                          float *context);

#endif
