/* SPDX-License-Identifier: MIT
 *
 * Named tensors in files, whatever the container: safetensors (single or sharded), torch zip and
 * legacy pickles. The container is recognised by content, never by the file's name.
 */
#ifndef SDI_IO_TENSOR_FILE_H
#define SDI_IO_TENSOR_FILE_H

#include "io/source.h"
#include "tensor/dtype.h"

/* Names in pickles are joined with '.' through nested dicts ("string_to_param.*"); those in a
 * top-level 'state_dict' stand without that prefix. A pickle of one bare tensor names it
 * "tensor". */
enum { SDI_MAX_RANK = 8 };

typedef struct sdi_tensor_info {
    const char *name;
    sdi_dtype dtype;
    int32_t rank;
    int64_t shape[SDI_MAX_RANK];
    uint64_t count; // elements
    uint64_t bytes; // contiguous, row-major
} sdi_tensor_info;

typedef struct sdi_tensor_file sdi_tensor_file;

/* Holds a reference to the source. Every size in the file is checked against the source before
 * anything is allocated on its word. */
sdiff_status sdi_tensor_file_open(const sdi_env *env, sdi_source *source, sdi_tensor_file **out);
/* A file by path; "*.index.json" opens its shards (which must lie in the same folder). */
sdiff_status sdi_tensor_file_open_path(const sdi_env *env, const char *path,
                                       sdi_tensor_file **out);
void sdi_tensor_file_free(const sdi_env *env, sdi_tensor_file *file); // NULL is allowed

int32_t sdi_tensor_file_count(const sdi_tensor_file *file);
const sdi_tensor_info *sdi_tensor_file_info(const sdi_tensor_file *file, int32_t index);
int32_t sdi_tensor_file_find(const sdi_tensor_file *file, const char *name); // -1: absent
/* The text of that key, or NULL: of "__metadata__", or of a text or integer in the dicts of a
 * pickle under its joined name ("name", "step", "global_step"). */
const char *sdi_tensor_file_metadata(const sdi_tensor_file *file, const char *key);

/* The bytes of one tensor, contiguous and row-major, with no promise of alignment. Points into the
 * mapping where it can (*owned NULL), else into a fresh block (*owned, to be freed by the caller
 * with sdi_free): readers, compressed entries, tensors with permuted strides.
 * Safe to call from several threads on mapped files. */
sdiff_status sdi_tensor_file_data(const sdi_env *env, sdi_tensor_file *file, int32_t index,
                                  const void **data, void **owned);

/* Whether that gives the tensor without a copy, at an address that stays as long as the file; and
 * whether all such addresses are pages of files, not the host's memory. */
int sdi_tensor_file_in_place(const sdi_tensor_file *file, int32_t index);
int sdi_tensor_file_is_mapped(const sdi_tensor_file *file);

/* Before and after reading a large tensor once: its pages are fetched together, and do not stay in
 * the process's memory. Mapped files only; anything else is left as it is. */
void sdi_tensor_file_expect(const sdi_tensor_file *file, int32_t index);
void sdi_tensor_file_release(const sdi_tensor_file *file, int32_t index);

/* Writing: safetensors, to a temporary name beside path, then renamed. Tensors keep their order.
 * metadata is a list key, value, …, NULL; it may be NULL. */
typedef struct sdi_tensor_out {
    const char *name;
    sdi_dtype dtype;
    int32_t rank;
    int64_t shape[SDI_MAX_RANK];
    const void *data; // contiguous, row-major
} sdi_tensor_out;

sdiff_status sdi_safetensors_write(const sdi_env *env, const char *path,
                                   const sdi_tensor_out *tensors, int32_t count,
                                   const char *const *metadata);

/* The same for values that are made one tensor at a time: names and shapes first (data is not
 * looked at), then the bytes of each tensor in that order, in parts of any size. End puts the file
 * in its place and refuses one with bytes missing; both end and abandon end the writer's life. */
typedef struct sdi_safetensors_writer sdi_safetensors_writer;
sdiff_status sdi_safetensors_begin(const sdi_env *env, const char *path,
                                   const sdi_tensor_out *tensors, int32_t count,
                                   const char *const *metadata, sdi_safetensors_writer **out);
sdiff_status sdi_safetensors_append(const sdi_env *env, sdi_safetensors_writer *writer,
                                    const void *bytes, uint64_t size);
sdiff_status sdi_safetensors_end(const sdi_env *env, sdi_safetensors_writer *writer);
void sdi_safetensors_abandon(const sdi_env *env, sdi_safetensors_writer *writer); // NULL is allowed

#endif
