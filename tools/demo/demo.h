/* SPDX-License-Identifier: MIT
 *
 * sd-demo: what its files share.
 */
#ifndef TOOLS_DEMO_H
#define TOOLS_DEMO_H

#include "../common.h"

#include <stdio.h>

/* The values of an option that may be given several times. */
enum { MAX_LIST = 16 };
typedef struct word_list {
    const char *words[MAX_LIST];
    int count;
} word_list;

/* What the user asked for: one field an option, filled by the table of options.c. */
typedef struct settings {
    const char *model, *config, *vae, *vocab;
    const char *prompt, *negative;
    const char *output, *preview, *filmstrip, *from_png;
    const char *init_img, *mask, *depth_map, *depth_out, *taesd;
    const char *sampler, *schedule, *kernels;
    double cfg_scale, cfg_rescale, eta;
    double strength, mask_blur; // strength negative: the mode's own
    int64_t inpaint_area;       // 0: the whole picture, 1: the marked part
    int64_t mask_padding, raw_decode;
    int64_t seed; // -1: random
    int64_t width, height; // 0: the model's
    int64_t steps, batch_count, threads, clip_skip, class_label;
    int64_t rng, spacing, compute, prediction, ema; // indices of the public enums
    int64_t emphasis;
    word_list loras, embeddings, controls, control_images;
    int64_t control_hint, canny, guess; // hint: an index as below
    int64_t memory_limit; // bytes, 0: none
    int64_t tile;         // the autoencoder in tiles
    int64_t list_samplers, verbose, quiet, version, help;
} settings;

/* What --control-hint makes of a picture. */
enum { SETTINGS_IMAGE, SETTINGS_CANNY, SETTINGS_SCRIBBLE };

void settings_init(settings *s);
/* All of argv over what is in s; 0 after a complaint. */
int settings_read(settings *s, int argc, char **argv);
void settings_print_help(FILE *file);
/* The word for a value of an option that is a choice: "rng", "spacing" … */
const char *settings_word(const char *option, int64_t value);
int settings_find_word(const char *option, const char *word, int64_t *value); // 0: not found

/* ---- parameters.c: settings in a PNG, in the form that A1111's web UI writes --------------- */

/* What a picture was made with: a text for its "parameters" chunk, to be freed; NULL: no memory.
 * The size is the one worked at, which is not the picture's where a part of it was made anew. */
char *parameters_write(const settings *s, int64_t seed, const char *model);

/* Overlays the settings of a text, which is cut up and has to outlive s. Returns an exit code.
 * `given` are those of the command line, which can name the files that the text tells the names of.
 * `ignored` receives the names of settings that change pictures and are not known here, `model` the
 * model's name or NULL; both lie in the text or in static memory. */
int parameters_read(settings *s, const settings *given, char *text, char *ignored,
                    size_t ignored_size, const char **model);

/* ---- names.c: samplers as A1111 shows them ------------------------------------------------- */

/* "DPM++ 2M" and "Karras" (NULL: none) for the library's names. */
const char *shown_sampler(const char *name);
const char *shown_schedule(const char *name);
/* The library's names for what A1111 shows, with or without the schedule behind the sampler's name;
 * `schedule` is "Schedule type" or NULL. 0: not known. */
int sampler_from_shown(const char *sampler, const char *schedule, const char **name,
                       const char **schedule_name);
void list_samplers(void);

/* ---- paths.c ------------------------------------------------------------------------------- */

/* The model that comes with the project, beside the program in the build tree or installed. */
const char *default_model(void);
/* "picture.png" for the number 2 of several is "picture-2.png". To be freed. */
char *numbered_path(const char *path, int64_t number, int64_t count);
/* The last part of a path without its extension. To be freed. */
char *model_name(const char *path);
/* Whether a file can be put there, told before work is done for it. Returns an exit code. */
int check_output(const char *path);

/* ---- adapters.c ------------------------------------------------------------------------------ */

struct demo;
/* Adds what --lora and --embedding name to the model. Returns an exit code. */
int adapters_add(struct demo *d);

/* ---- progress.c ---------------------------------------------------------------------------- */

typedef struct progress {
    int bar, quiet;
    int64_t picture, pictures;
    int drawn; // a line that has to be ended
    double step_seconds;
    int32_t step, steps; // finished, of the present picture
} progress;

void progress_init(progress *p, const settings *s);
/* A line about something else between the bar's. */
void progress_line(progress *p, const char *format, ...) PRINTF_LIKE(2, 3);
int progress_update(void *p, const sdiff_progress *state);
void progress_step(progress *p, const sdiff_step *step);
void progress_end(progress *p);

/* ---- filmstrip.c --------------------------------------------------------------------------- */

/* Previews of the steps of one picture. */
typedef struct filmstrip {
    sdiff_context *context;
    sdiff_model *model;
    sdiff_taesd *taesd;  // draws the previews; NULL: the model's own estimate
    const char *folder; // of previews, NULL: none
    char *path;         // of the strip, NULL: none
    sdiff_image **cells; // the steps so far
    sdiff_image *strip;
    int64_t picture, pictures;
    int32_t width, height;             // of the picture
    int32_t cell_width, cell_height;   // of one step in the strip
    int32_t columns, rows, count;      // count: cells
    int code;                          // the exit code of a failure, which was complained about
} filmstrip;

void filmstrip_step(filmstrip *f, const sdiff_step *step);
/* Adds the picture itself and writes the strip. Returns an exit code. */
int filmstrip_finish(filmstrip *f, sdiff_image *picture);
void filmstrip_drop(filmstrip *f);

/* ---- inputs.c: pictures to start from ------------------------------------------------------ */

typedef struct inputs {
    sdiff_image *picture; // RGB, as loaded
    sdiff_image *mask;    // gray, blurred, of its size
    sdiff_image *depth;   // gray
    sdiff_image *whole;   // the picture with the marked part made anew
    sdiff_rect area;      // of that part
    float *planes, *mask_plane, *depth_plane; // NULL: none
} inputs;

struct demo;
/* Loads what the settings name and settles the size. Returns an exit code. */
int inputs_read(struct demo *d);
void inputs_fill(const struct demo *d, sdiff_generate_params *request);
/* `made` itself, or the picture that it was cut out of with it pasted in; owned by d. */
int inputs_finish(struct demo *d, sdiff_image *made, sdiff_image **out);
void inputs_drop(inputs *in);
double inputs_strength(const settings *s); // in use

/* ---- controls.c: ControlNets, depth, the tiny autoencoder ----------------------------------- */

/* Everything that comes behind the inputs. Returns an exit code. */
int controls_add(struct demo *d);

/* ---- request.c ----------------------------------------------------------------------------- */

/* Everything a run of the program holds. */
typedef struct demo {
    settings settings;
    sdiff_context *context;
    sdiff_model *model;
    sdiff_pipeline *pipeline;
    inputs inputs;
    progress progress;
    filmstrip film;
    sdiff_image *recalled;  // of --from-png
    char *recalled_text;    // its settings, cut up
    const char *made_with;  // its model
} demo;

/* Settings from --from-png and argv. Each returns an exit code. */
int demo_read_settings(demo *d, int argc, char **argv);
int demo_open(demo *d);
int demo_draw(demo *d);
void demo_close(demo *d);

int fail(sdiff_status status, const char *format, ...) PRINTF_LIKE(2, 3);

#endif
