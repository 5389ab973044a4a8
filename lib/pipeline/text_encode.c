/* SPDX-License-Identifier: MIT
 *
 * From prompts to what cross-attention is given.
 */
#include "pipeline/text_encode.h"

#include "base/log.h"

#include <string.h>

sdiff_status sdi_prompt_ids(sdi_session *session, const char *prompt, int32_t *ids)
{
    const sdi_clip_config *clip = &sdi_model_get_config(session->model)->clip;
    const sdi_tokenizer *tokenizer = sdi_model_tokenizer(session->model);
    if (!tokenizer)
        return sdi_fail(&session->env, SDIFF_ERROR_UNSUPPORTED, "%s",
                        sdi_model_tokenizer_reason(session->model));
    sdi_ids all = {0};
    const sdiff_status status = sdi_tokenizer_encode(&session->env, tokenizer, session->variant,
                                                     prompt, strlen(prompt), &all);
    if (status == SDIFF_OK) {
        const int32_t cut = sdi_tokenizer_frame(tokenizer, &all, clip->pad_token, clip->positions,
                                                ids);
        if (cut > 0)
            sdi_warn(&session->env,
                     "the prompt has %d tokens, the model reads %d: the last %d were cut", all.count,
                     clip->positions - 2, cut);
    }
    sdi_ids_free(&session->env, &all);
    return status;
}

sdiff_status sdi_text_plan(sdi_session *session, int64_t b, int32_t clip_skip, sdi_plan **out)
{
    const sdi_clip_config *clip = &sdi_model_get_config(session->model)->clip;
    sdi_clip_args args;
    memset(&args, 0, sizeof args);
    args.config = clip;
    args.b = b;
    args.t = clip->positions;
    args.clip_skip = clip_skip;
    return sdi_session_plan(session, SDI_NET_TEXT, &args, sizeof args, out);
}

sdiff_status sdi_text_run(sdi_session *session, sdi_plan *plan, const int32_t *ids,
                          float *context)
{
    SDI_TRY(sdi_plan_set(&session->env, plan, "input_ids", ids));
    SDI_TRY(sdi_session_run(session, plan, NN_ONCE));
    SDI_TRY(sdi_session_run(session, plan, NN_EACH));
    return sdi_session_get(session, plan, "context", context);
}
