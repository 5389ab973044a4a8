/* SPDX-License-Identifier: MIT
 *
 * The options of sd-demo: one table for parsing and for --help.
 */
#include "demo.h"

#include <getopt.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef enum kind { HEADING, FLAG, TEXT, WHOLE, REAL, BYTES, CHOICE, LIST } kind;

typedef struct entry {
    const char *name;     // of the long option; HEADING: the line itself
    char letter;          // 0: none
    kind kind;
    size_t field;         // offset in settings
    const char *argument; // as --help shows it; CHOICE: the words, in the order of the public enum
    int64_t low, high;    // WHOLE
    const char *help;
} entry;

#define AT(field) offsetof(settings, field)

/* Bounds that depend on the model are the library's to check. */
static const entry entries[] = {
    {"what to draw", 0, HEADING, 0, NULL, 0, 0, NULL},
    {"prompt", 'p', TEXT, AT(prompt), "TEXT", 0, 0, "the sentence (also without -p)"},
    {"negative-prompt", 'n', TEXT, AT(negative), "TEXT", 0, 0, "what is not wanted"},
    {"class", 0, WHOLE, AT(class_label), "N", 0, INT32_MAX,
     "for models of classes in place of sentences (default 0)"},
    {"width", 'W', WHOLE, AT(width), "PIXELS", 1, INT32_MAX, "default: the model's"},
    {"height", 'H', WHOLE, AT(height), "PIXELS", 1, INT32_MAX, "default: the model's"},
    {"seed", 's', WHOLE, AT(seed), "N", -1, INT64_MAX,
     "start of the random numbers, -1 (default): a new one, which is printed"},
    {"batch-count", 'b', WHOLE, AT(batch_count), "N", 1, 1000,
     "pictures, of the seeds N, N+1, … (default 1)"},
    {"from-png", 0, TEXT, AT(from_png), "FILE", 0, 0,
     "the settings that a picture was made with; options beside it come first"},
    {"pictures to start from (PNG)", 0, HEADING, 0, NULL, 0, 0, NULL},
    {"init-img", 'i', TEXT, AT(init_img), "FILE", 0, 0,
     "the picture to change; cut to fit -W and -H (default: its own size)"},
    {"strength", 0, REAL, AT(strength), "X", 0, 0,
     "how much: 0 not at all, 1 from scratch (default 0.75, with a mask 1)"},
    {"mask", 0, TEXT, AT(mask), "FILE", 0, 0,
     "white where the picture is made anew, black where it stays"},
    {"mask-blur", 0, REAL, AT(mask_blur), "PIXELS", 0, 0, "softens the mask's edges (default 0)"},
    {"inpaint-area", 0, CHOICE, AT(inpaint_area), "whole|masked", 0, 0,
     "masked: works on the marked part alone, enlarged, and pastes it back"},
    {"mask-padding", 0, WHOLE, AT(mask_padding), "PIXELS", 0, INT32_MAX,
     "around the marked part (default 32)"},
    {"raw-decode", 0, FLAG, AT(raw_decode), NULL, 0, 0,
     "pixels outside of the mask as decoded, not as they were"},
    {"depth-map", 0, TEXT, AT(depth_map), "FILE", 0, 0,
     "near is white; for depth-to-image models"},
    {"depth-out", 0, TEXT, AT(depth_out), "FILE", 0, 0,
     "the depth that the model sees in --init-img, as a PNG; without a sentence that is all"},
    {"ControlNets", 0, HEADING, 0, NULL, 0, 0, NULL},
    {"controlnet", 0, LIST, AT(controls), "FILE[:WEIGHT[:START[:END]]]", 0, 0,
     "steered by a picture (again for more); heard from START to END of the steps, 0 to 1"},
    {"control-image", 0, LIST, AT(control_images), "FILE", 0, 0,
     "that picture, a PNG, or a .json of poses (again, in the order of --controlnet; default: "
     "--init-img)"},
    {"control-hint", 0, CHOICE, AT(control_hint), "image|canny|scribble", 0, 0,
     "what is made of the picture: nothing, its edges, its dark strokes"},
    {"canny", 0, FLAG, AT(canny), NULL, 0, 0, "the same as --control-hint canny"},
    {"guess", 0, FLAG, AT(guess), NULL, 0, 0,
     "weaker at outer layers and beside the sentence only: works without one"},
    {"how to draw", 0, HEADING, 0, NULL, 0, 0, NULL},
    {"steps", 0, WHOLE, AT(steps), "N", INT32_MIN, INT32_MAX, "default 20"},
    {"cfg-scale", 0, REAL, AT(cfg_scale), "X", 0, 0,
     "weight of the sentence: 0 without it, 1 plain, default 7"},
    {"cfg-rescale", 0, REAL, AT(cfg_rescale), "X", 0, 0, "0 (default) to 1, against glare"},
    {"sampling-method", 0, TEXT, AT(sampler), "NAME", 0, 0,
     "see --list-samplers (default dpmpp_2m)"},
    {"scheduler", 0, TEXT, AT(schedule), "NAME", 0, 0, "see --list-samplers (default: default)"},
    {"spacing", 0, CHOICE, AT(spacing), "model|leading|linspace|trailing", 0, 0,
     "of the timesteps"},
    {"eta", 0, REAL, AT(eta), "X", 0, 0, "noise that the sampler adds (default: its own)"},
    {"rng", 0, CHOICE, AT(rng), "torch|philox", 0, 0,
     "random numbers as of PyTorch on the CPU or on CUDA"},
    {"clip-skip", 0, WHOLE, AT(clip_skip), "N", INT32_MIN, INT32_MAX,
     "layer of the text encoder: 1 the last, 2 the one before (default: the model's)"},
    {"emphasis", 0, CHOICE, AT(emphasis), "original|no_norm|interpolate|ignore|none", 0, 0,
     "what brackets in sentences do: as A1111 (default), as ComfyUI (interpolate), …"},
    {"the model", 0, HEADING, 0, NULL, 0, 0, NULL},
    {"model", 'm', TEXT, AT(model), "PATH", 0, 0,
     "diffusers folder or single file (default: the small one that comes with the program)"},
    {"config", 0, TEXT, AT(config), "FILE", 0, 0,
     "configuration of a single file (flat JSON or LDM yaml)"},
    {"vae", 0, TEXT, AT(vae), "PATH", 0, 0, "a VAE that replaces the model's"},
    {"lora", 0, LIST, AT(loras), "FILE[:SCALE]", 0, 0,
     "an adapter of the weights; may be given several times"},
    {"embedding", 0, LIST, AT(embeddings), "FILE", 0, 0,
     "a textual inversion, called by its name in sentences; may be given several times"},
    {"taesd", 0, TEXT, AT(taesd), "PATH", 0, 0,
     "a tiny autoencoder, for decoding and previews: faster, rougher"},
    {"vocab", 0, TEXT, AT(vocab), "PATH", 0, 0,
     "folder with vocab.json and merges.txt, or bpe_simple_vocab_16e6.txt.gz"},
    {"prediction", 0, CHOICE, AT(prediction), "model|epsilon|v|sample", 0, 0,
     "what the U-Net predicts"},
    {"ema", 0, FLAG, AT(ema), NULL, 0, 0, "EMA weights, where the file has them"},
    {"results", 0, HEADING, 0, NULL, 0, 0, NULL},
    {"output", 'o', TEXT, AT(output), "FILE", 0, 0,
     "PNG (default output.png); several become FILE-1.png, FILE-2.png, …"},
    {"preview", 0, TEXT, AT(preview), "FOLDER", 0, 0, "a rough PNG of every step"},
    {"filmstrip", 0, TEXT, AT(filmstrip), "FILE", 0, 0, "all steps in one PNG"},
    {"the machine", 0, HEADING, 0, NULL, 0, 0, NULL},
    {"threads", 't', WHOLE, AT(threads), "N", 0, 1024, "default: the physical cores"},
    {"compute", 0, CHOICE, AT(compute), "auto|f32|bf16|bf16x3", 0, 0, "arithmetic of the networks"},
    {"kernels", 0, TEXT, AT(kernels), "LIST", 0, 0,
     "kernel sets that may be used, e.g. ref,openblas (default all)"},
    {"memory-limit", 0, BYTES, AT(memory_limit), "N[K|M|G]", 0, 0,
     "work in fewer bytes, slower; refused with the number where that is not possible"},
    {"tile", 0, FLAG, AT(tile), NULL, 0, 0,
     "decode and encode pictures in tiles, which takes less memory"},
    {"the program", 0, HEADING, 0, NULL, 0, 0, NULL},
    {"list-samplers", 0, FLAG, AT(list_samplers), NULL, 0, 0, "names of samplers and schedules"},
    {"verbose", 'v', FLAG, AT(verbose), NULL, 0, 0, "log, memory and times"},
    {"quiet", 'q', FLAG, AT(quiet), NULL, 0, 0, "only errors"},
    {"version", 0, FLAG, AT(version), NULL, 0, 0, "version of the library"},
    {"help", 'h', FLAG, AT(help), NULL, 0, 0, "this text"},
};

enum { COUNT = sizeof entries / sizeof entries[0], FIRST_LONG = 256 };

void settings_init(settings *s)
{
    sdiff_generate_params request;
    sdiff_generate_params_init(&request, sizeof request);
    memset(s, 0, sizeof *s);
    s->output = "output.png";
    s->sampler = request.sampler;
    s->schedule = request.schedule;
    s->cfg_scale = 7;
    s->eta = request.eta;
    s->steps = request.steps;
    s->batch_count = 1;
    s->seed = -1;
    s->strength = request.strength;
    s->mask_padding = 32;
}

/* ---- words of choices ------------------------------------------------------------------------ */

static const entry *find_entry(const char *name)
{
    for (int i = 0; i < COUNT; i++)
        if (entries[i].kind != HEADING && strcmp(entries[i].name, name) == 0)
            return &entries[i];
    return NULL;
}

/* The index of a word in "one|two|three", or -1. */
static int64_t word_index(const char *words, const char *word)
{
    const size_t length = strlen(word);
    for (int64_t i = 0; *words; i++) {
        const size_t size = strcspn(words, "|");
        if (size == length && strncmp(words, word, size) == 0)
            return i;
        words += size + (words[size] == '|');
    }
    return -1;
}

int settings_find_word(const char *option, const char *word, int64_t *value)
{
    const int64_t index = word_index(find_entry(option)->argument, word);
    if (index >= 0)
        *value = index;
    return index >= 0;
}

const char *settings_word(const char *option, int64_t value)
{
    static char word[32];
    const char *words = find_entry(option)->argument;
    for (int64_t i = 0; i < value; i++)
        words += strcspn(words, "|") + 1;
    snprintf(word, sizeof word, "%.*s", (int)strcspn(words, "|"), words);
    return word;
}

/* ---- parsing --------------------------------------------------------------------------------- */

static int refuse(const entry *e, const char *text, const char *needed)
{
    fail(SDIFF_ERROR_INVALID_ARGUMENT, "--%s %.100s: %s", e->name, text, needed);
    return 0;
}

static int take_word(const entry *e, const char *text, word_list *list)
{
    if (list->count == MAX_LIST)
        return refuse(e, text, "16 of them are possible");
    list->words[list->count++] = text;
    return 1;
}

static int take_whole(const entry *e, const char *text, int64_t *value)
{
    char needed[96];
    long long number = 0;
    if (parse_int(text, e->low, e->high, &number)) {
        *value = number;
        return 1;
    }
    snprintf(needed, sizeof needed, "a whole number from %lld to %lld is needed",
             (long long)e->low, (long long)e->high);
    return refuse(e, text, needed);
}

static int take_bytes(const entry *e, const char *text, int64_t *value)
{
    static const char units[] = "KMG";
    char digits[32];
    const size_t length = strlen(text);
    const char *unit = length ? strchr(units, text[length - 1]) : NULL;
    const int shift = unit ? 10 * (int)(unit - units + 1) : 0;
    long long number = 0;
    snprintf(digits, sizeof digits, "%.*s", (int)(length - (shift > 0)), text);
    if (!length || !parse_int(digits, 1, INT64_MAX >> shift, &number))
        return refuse(e, text, "a number of bytes is needed, such as 500M or 4G");
    *value = number << shift;
    return 1;
}

static int take(settings *s, const entry *e, const char *text)
{
    void *field = (char *)s + e->field;
    switch (e->kind) {
    case FLAG: *(int64_t *)field = 1; return 1;
    case TEXT: *(const char **)field = text; return 1;
    case LIST: return take_word(e, text, field);
    case WHOLE: return take_whole(e, text, field);
    case BYTES: return take_bytes(e, text, field);
    case REAL:
        return parse_real(text, field) || refuse(e, text, "a number is needed");
    case CHOICE:
        *(int64_t *)field = word_index(e->argument, text);
        return *(int64_t *)field >= 0 || refuse(e, text, e->argument);
    case HEADING: break;
    }
    return 0;
}

static void for_getopt(struct option *longs, char *shorts)
{
    for (int i = 0; i < COUNT; i++) {
        const entry *e = &entries[i];
        if (e->kind == HEADING)
            continue;
        const int has_argument = e->kind == FLAG ? no_argument : required_argument;
        *longs++ = (struct option){e->name, has_argument, NULL, FIRST_LONG + i};
        if (!e->letter)
            continue;
        *shorts++ = e->letter;
        if (has_argument)
            *shorts++ = ':';
    }
    *longs = (struct option){0};
    *shorts = '\0';
}

static const entry *entry_of(int option)
{
    if (option >= FIRST_LONG)
        return &entries[option - FIRST_LONG];
    for (int i = 0; i < COUNT; i++)
        if (entries[i].letter && entries[i].letter == option)
            return &entries[i];
    return NULL;
}

int settings_read(settings *s, int argc, char **argv)
{
    struct option longs[COUNT + 1];
    char shorts[2 * COUNT + 1];
    int named = 0;
    for_getopt(longs, shorts);
    optind = 0; // argv may be read a second time
    for (int option; (option = getopt_long(argc, argv, shorts, longs, NULL)) != -1;) {
        const entry *e = entry_of(option);
        if (!e || !take(s, e, optarg))
            return 0;
        named |= e->field == AT(prompt);
    }
    if (optind + 1 < argc || (optind < argc && named)) {
        fail(SDIFF_ERROR_INVALID_ARGUMENT,
             "'%.100s' is one sentence too many: a sentence of several words needs quotes",
             argv[named ? optind : optind + 1]);
        return 0;
    }
    if (optind < argc)
        s->prompt = argv[optind];
    return 1;
}

/* ---- help ------------------------------------------------------------------------------------ */

void settings_print_help(FILE *file)
{
    fputs("usage: sd-demo [options] \"a sentence\"\n"
          "Draws what the sentence says.\n",
          file);
    for (int i = 0; i < COUNT; i++) {
        const entry *e = &entries[i];
        char left[96];
        if (e->kind == HEADING) {
            fprintf(file, "\n%s:\n", e->name);
            continue;
        }
        snprintf(left, sizeof left, "  %c%c%s--%s%s%s", e->letter ? '-' : ' ',
                 e->letter ? e->letter : ' ', e->letter ? ", " : "  ", e->name,
                 e->argument ? " " : "", e->argument ? e->argument : "");
        if (strlen(left) > 30)
            fprintf(file, "%s\n%32s%s\n", left, "", e->help);
        else
            fprintf(file, "%-32s%s\n", left, e->help);
    }
}
