/* SPDX-License-Identifier: MIT
 *
 * The words of networks are short in the text and carry the library's prefix in object files, so
 * that a host that links the static library keeps these names for itself. tests/abi finds what is
 * missing here.
 */
#ifndef SDI_NN_PREFIX_H
#define SDI_NN_PREFIX_H

#define nn_act sdi_nn_act
#define nn_add sdi_nn_add
#define nn_add_positions sdi_nn_add_positions
#define nn_append sdi_nn_append
#define nn_as_f32 sdi_nn_as_f32
#define nn_attention sdi_nn_attention
#define nn_call sdi_nn_call
#define nn_columns sdi_nn_columns
#define nn_concat sdi_nn_concat
#define nn_conv2d sdi_nn_conv2d
#define nn_conv2d_with sdi_nn_conv2d_with
#define nn_embedding sdi_nn_embedding
#define nn_enter sdi_nn_enter
#define nn_failed sdi_nn_failed
#define nn_full_name sdi_nn_full_name
#define nn_geglu sdi_nn_geglu
#define nn_group_norm sdi_nn_group_norm
#define nn_group_norm_silu sdi_nn_group_norm_silu
#define nn_grow sdi_nn_grow
#define nn_input_ids sdi_nn_input_ids
#define nn_input_map sdi_nn_input_map
#define nn_input_tokens sdi_nn_input_tokens
#define nn_is_planning sdi_nn_is_planning
#define nn_join_tokens sdi_nn_join_tokens
#define nn_lay_out sdi_nn_lay_out
#define nn_layer_norm sdi_nn_layer_norm
#define nn_leave sdi_nn_leave
#define nn_linear sdi_nn_linear
#define nn_linear_act sdi_nn_linear_act
#define nn_linear_add sdi_nn_linear_add
#define nn_linear_fused sdi_nn_linear_fused
#define nn_map sdi_nn_map
#define nn_mat sdi_nn_mat
#define nn_nearest_rows sdi_nn_nearest_rows
#define nn_max_pool_same sdi_nn_max_pool_same
#define nn_new_value sdi_nn_new_value
#define nn_new_view sdi_nn_new_view
#define nn_op_scratch sdi_nn_op_scratch
#define nn_kernel_scratch sdi_nn_kernel_scratch
#define nn_packed_now sdi_nn_packed_now
#define nn_output_map sdi_nn_output_map
#define nn_output_tokens sdi_nn_output_tokens
#define nn_param sdi_nn_param
#define nn_parameter sdi_nn_parameter
#define nn_pick_tokens sdi_nn_pick_tokens
#define nn_resize_bilinear sdi_nn_resize_bilinear
#define nn_scale_shift sdi_nn_scale_shift
#define nn_soft_clamp sdi_nn_soft_clamp
#define nn_timestep_embedding sdi_nn_timestep_embedding
#define nn_tokens sdi_nn_tokens

#endif
