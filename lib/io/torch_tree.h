/* SPDX-License-Identifier: MIT
 *
 * From the values of a torch pickle to the flat list of named tensors.
 */
#ifndef SDI_IO_TORCH_TREE_H
#define SDI_IO_TORCH_TREE_H

#include "io/pickle.h"
#include "io/tensor_table.h"

/* Finds or makes the table's storage for what a pickle names, `user` being the container. */
typedef sdiff_status (*sdi_resolve_fn)(const sdi_env *env, void *user, sdi_tensor_file *file,
                                       const sdi_pickle_storage *storage, uint32_t *index);

/* Names are joined with '.' through nested dicts, lists and modules; those of a top-level
 * 'state_dict' lose that prefix. Texts and integers in dicts become metadata under their joined
 * name. `name` is the file's. A file without any tensor is refused. */
sdiff_status sdi_tree_read(const sdi_env *env, sdi_tensor_file *file, const char *name,
                           const sdi_value *root, sdi_resolve_fn resolve, void *user);

/* One tensor with everything checked: that it lies in its storage, above all. */
sdiff_status sdi_tree_add_tensor(const sdi_env *env, sdi_tensor_file *file, const char *file_name,
                                 const sdi_pickle_tensor *tensor, uint32_t storage,
                                 const char *name, size_t length);

#endif
