/* SPDX-License-Identifier: MIT
 *
 * The depth estimator's configuration as transformers writes it.
 */
#include "model/save_file.h"

static json_t *numbers(const int32_t *values, int32_t count)
{
    json_t *list = json_array();
    for (int32_t i = 0; i < count; i++)
        json_array_append_new(list, json_integer(values[i]));
    return list;
}

static json_t *backbone_config(const sdi_dpt_config *c)
{
    return json_pack("{s:s, s:s, s:s, s:b, s:i, s:i, s:i, s:o, s:o, s:[s, s, s]}", "model_type",
                     "bit", "layer_type", "bottleneck", "global_padding", "SAME",
                     "embedding_dynamic_padding", 1, "num_channels", (int)c->image_channels,
                     "embedding_size", (int)c->stem_channels, "num_groups", (int)c->norm_groups,
                     "hidden_sizes", numbers(c->stage_channels, c->stages), "depths",
                     numbers(c->stage_layers, c->stages), "out_features", "stage1", "stage2",
                     "stage3");
}

json_t *sdi_save_dpt_config(const sdi_dpt_config *c)
{
    const int32_t side = c->position_side, indices[] = {0, 1, c->taps[0], c->taps[1]};
    return json_pack(
        "{s:[s], s:s, s:b, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:f, s:s, s:s, s:o, s:o, s:o, "
        "s:[i, i, i, i], s:[i, i]}",
        "architectures", "DPTForDepthEstimation", "model_type", "dpt", "is_hybrid", 1,
        "num_channels", (int)c->image_channels, "hidden_size", (int)c->hidden_size,
        "num_hidden_layers", (int)c->layers, "num_attention_heads", (int)c->heads,
        "intermediate_size", (int)c->intermediate_size, "image_size", (int)(16 * side),
        "patch_size", 16, "fusion_hidden_size", (int)c->fusion_channels, "layer_norm_eps",
        (double)c->eps, "hidden_act", "gelu", "readout_type", "project", "backbone_config",
        backbone_config(c), "backbone_out_indices", numbers(indices, SDI_DPT_FEATURES),
        "neck_hidden_sizes", numbers(c->neck_channels, SDI_DPT_FEATURES), "backbone_featmap_shape",
        1, (int)c->stage_channels[c->stages - 1], (int)side, (int)side, "neck_ignore_stages", 0, 1);
}

json_t *sdi_save_extractor(const sdi_depth_input *input)
{
    const double *m = input->mean, *d = input->deviation;
    return json_pack("{s:s, s:b, s:b, s:b, s:b, s:i, s:i, s:f, s:{s:i, s:i}, s:[f, f, f], "
                     "s:[f, f, f]}",
                     "image_processor_type", "DPTImageProcessor", "do_normalize", 1, "do_rescale",
                     1, "do_resize", 1, "keep_aspect_ratio", (int)input->keep_aspect,
                     "ensure_multiple_of", (int)input->multiple, "resample", 3, "rescale_factor",
                     1 / 255.0, "size", "height", (int)input->height, "width", (int)input->width,
                     "image_mean", m[0], m[1], m[2], "image_std", d[0], d[1], d[2]);
}
