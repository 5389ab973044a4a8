/* SPDX-License-Identifier: MIT
 *
 * Settings as text in a PNG, in the form that A1111's web UI writes and other programs read:
 *
 *     the prompt
 *     Negative prompt: what is not wanted
 *     Steps: 20, Sampler: DPM++ 2M Karras, CFG scale: 7, Seed: 42, Size: 512x512, Model: "a, b", …
 *
 * A value with a comma, a colon or a line break is a JSON string. Settings that A1111 has no word
 * for (Sampler id, Spacing …) are added behind its own; readers skip keys that they do not know.
 * Of files only names are told: whoever draws the picture again names them as options.
 */
#include "demo.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* Settings that are one word of an option's choices, or a flag (no option): 0 is left unsaid. */
static const struct extra {
    const char *key, *option;
    size_t field;
} extras[] = {
    {"Prediction", "prediction", offsetof(settings, prediction)},
    {"Compute", "compute", offsetof(settings, compute)},
    {"Spacing", "spacing", offsetof(settings, spacing)},
    {"Emphasis", "emphasis", offsetof(settings, emphasis)},
    {"Control hint", "control-hint", offsetof(settings, control_hint)},
    {"EMA", NULL, offsetof(settings, ema)},
    {"Guess mode", NULL, offsetof(settings, guess)},
    {"Canny", NULL, offsetof(settings, canny)},
    {"Raw decode", NULL, offsetof(settings, raw_decode)},
    {"Tiled VAE", NULL, offsetof(settings, tile)},
};

enum { EXTRAS = sizeof extras / sizeof extras[0] };

static const char only_masked[] = "Only masked"; // A1111's word for --inpaint-area masked

static int64_t *extra_of(settings *s, const struct extra *e)
{
    return (int64_t *)((char *)s + e->field);
}

/* ---- writing --------------------------------------------------------------------------------- */

static void put_quoted(FILE *out, const char *text)
{
    if (*text && !strpbrk(text, ",:\n\"")) {
        fputs(text, out);
        return;
    }
    fputc('"', out);
    for (; *text; text++) {
        if (*text == '\n')
            fputs("\\n", out);
        else if (*text == '"' || *text == '\\')
            fprintf(out, "\\%c", *text);
        else
            fputc(*text, out);
    }
    fputc('"', out);
}

static void put_text(FILE *out, const char *key, const char *value)
{
    fprintf(out, ", %s: ", key);
    put_quoted(out, value);
}

/* The shortest digits that give the same number back. */
static void put_real(FILE *out, const char *key, double value)
{
    char digits[40];
    for (int precision = 6; precision <= 17; precision++) {
        snprintf(digits, sizeof digits, "%.*g", precision, value);
        if (strtod(digits, NULL) == value)
            break;
    }
    fprintf(out, ", %s: %s", key, digits);
}

static void put_sampler(FILE *out, const settings *s)
{
    const char *schedule = shown_schedule(s->schedule), *name = NULL, *schedule_name = NULL;
    char shown[128];
    snprintf(shown, sizeof shown, "%s%s%s", shown_sampler(s->sampler), schedule ? " " : "",
             schedule ? schedule : "");
    put_text(out, "Sampler", shown);
    if (!sampler_from_shown(shown, NULL, &name, &schedule_name) ||
        strcmp(name, s->sampler) != 0)
        put_text(out, "Sampler id", s->sampler);
}

/* The last part of a path, if there is one. */
static void put_file(FILE *out, const char *key, const char *path)
{
    char *name = path ? model_name(path) : NULL;
    if (name)
        put_text(out, key, name);
    free(name);
}

static void put_files(FILE *out, const char *key, const word_list *list)
{
    for (int i = 0; i < list->count; i++) {
        const char *slash = strrchr(list->words[i], '/'); // a scale may be behind the name
        put_text(out, key, slash ? slash + 1 : list->words[i]);
    }
}

static void put_model(FILE *out, const settings *s, const char *model)
{
    put_text(out, "Model", model);
    put_file(out, "Config", s->config);
    put_file(out, "VAE", s->vae);
    put_file(out, "TAESD", s->taesd);
    put_files(out, "LoRA", &s->loras);
    put_files(out, "Embedding", &s->embeddings);
    put_files(out, "ControlNet", &s->controls);
}

static void put_extras(FILE *out, settings s)
{
    for (int i = 0; i < EXTRAS; i++) {
        const int64_t value = *extra_of(&s, &extras[i]);
        if (value)
            put_text(out, extras[i].key,
                     extras[i].option ? settings_word(extras[i].option, value) : "1");
    }
}

static void put_start(FILE *out, const settings *s)
{
    if (s->init_img)
        put_real(out, "Denoising strength", inputs_strength(s));
    if (s->mask)
        put_real(out, "Mask blur", s->mask_blur);
    if (s->inpaint_area)
        fprintf(out, ", Inpaint area: %s, Masked area padding: %lld", only_masked,
                (long long)s->mask_padding);
    put_file(out, "Depth map", s->depth_map);
}

char *parameters_write(const settings *s, int64_t seed, const char *model)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (!out)
        return NULL;
    fprintf(out, "%s\n", s->prompt);
    if (s->negative && *s->negative)
        fprintf(out, "Negative prompt: %s\n", s->negative);
    fprintf(out, "Steps: %lld", (long long)s->steps);
    put_sampler(out, s);
    put_real(out, "CFG scale", s->cfg_scale);
    fprintf(out, ", Seed: %lld, Size: %lldx%lld", (long long)seed, (long long)s->width,
            (long long)s->height);
    put_model(out, s, model);
    put_start(out, s);
    put_extras(out, *s);
    if (s->class_label)
        fprintf(out, ", Class: %lld", (long long)s->class_label);
    if (s->clip_skip)
        fprintf(out, ", Clip skip: %lld", (long long)s->clip_skip);
    if (s->eta >= 0)
        put_real(out, "Eta", s->eta);
    if (s->cfg_rescale != 0)
        put_real(out, "CFG rescale", s->cfg_rescale);
    fprintf(out, ", RNG: %s, Version: libstablediff %s", s->rng ? "NV" : "CPU",
            sdiff_version_string());
    if (fclose(out) == 0)
        return text;
    free(text);
    return NULL;
}

/* ---- reading --------------------------------------------------------------------------------- */

typedef struct reader {
    settings *s;
    const settings *given; // on the command line
    const char *sampler, *sampler_id, *schedule; // as the text says them
    const char *model;
    char *ignored;
    size_t ignored_size;
    int foreign_rng; // the text does not say which: then it is A1111's default
} reader;

/* Takes the backslashes out of a JSON string in place; returns what is behind its closing quote. */
static char *unquote(char *at)
{
    char *to = at++;
    for (; *at && *at != '"'; at++) {
        if (*at == '\\' && at[1])
            at++;
        else if (*at == '\\')
            break;
        *to++ = at[-1] == '\\' && *at == 'n' ? '\n' : *at;
    }
    char *behind = *at ? at + 1 : at;
    *to = '\0';
    return behind;
}

/* Cuts "key: value, rest" after the value and returns the rest, or NULL at the end. */
static char *next_setting(char *line, char **key, char **value)
{
    char *colon = strchr(line, ':'), *end = NULL;
    if (!colon)
        return NULL;
    *colon = '\0';
    *key = line + strspn(line, " ");
    *value = colon + 1 + strspn(colon + 1, " ");
    end = **value == '"' ? unquote(*value) : *value;
    char *comma = strchr(end, ',');
    if (comma)
        *comma = '\0';
    return comma ? comma + 1 : end + strlen(end);
}

static int number_expected(const char *key, const char *value)
{
    return fail(SDIFF_ERROR_FORMAT, "the settings in the picture say %.40s: %.60s, which cannot be",
                key, value);
}

static int take_whole(const char *key, const char *value, int64_t low, int64_t high, int64_t *out)
{
    long long number = 0;
    if (!parse_int(value, low, high, &number))
        return number_expected(key, value);
    *out = number;
    return 0;
}

static int take_real(const char *key, const char *value, double *out)
{
    return parse_real(value, out) ? 0 : number_expected(key, value);
}

static int take_size(settings *s, const char *key, char *value)
{
    char *cross = strchr(value, 'x');
    if (!cross)
        return number_expected(key, value);
    *cross = '\0';
    const int code = take_whole(key, value, 1, INT32_MAX, &s->width);
    return code ? code : take_whole(key, cross + 1, 1, INT32_MAX, &s->height);
}

/* A1111 writes "No norm" for no_norm. */
static int take_extra(settings *s, const struct extra *e, char *value)
{
    if (!e->option)
        return take_whole(e->key, value, 0, 1, extra_of(s, e));
    for (char *at = value; *at; at++)
        *at = *at == ' ' ? '_' : (char)tolower((unsigned char)*at);
    return settings_find_word(e->option, value, extra_of(s, e)) ? 0
                                                                : number_expected(e->key, value);
}

/* Those that change nothing, or are said twice. */
static int is_harmless(const char *key)
{
    static const char *const keys[] = {"Model hash", "Version", "VAE hash", "Size-1",
                                       "Size-2", "Batch size", "Batch pos"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        if (strcmp(keys[i], key) == 0)
            return 1;
    return 0;
}

static void ignore(reader *r, const char *key, const char *value)
{
    const size_t used = strlen(r->ignored);
    if (!is_harmless(key) && used + strlen(key) + 50 < r->ignored_size)
        snprintf(r->ignored + used, r->ignored_size - used, "%s%s (%.40s)", used ? ", " : "", key,
                 value);
}

static int is(const char *key, const char *name)
{
    return strcmp(key, name) == 0;
}

/* Files that are named as options, if at all. */
static int is_given(const settings *given, const char *key)
{
    return (is(key, "Config") && given->config) || (is(key, "VAE") && given->vae) ||
           (is(key, "TAESD") && given->taesd) ||
           (is(key, "LoRA") && given->loras.count) ||
           (is(key, "Embedding") && given->embeddings.count) ||
           (is(key, "ControlNet") && given->controls.count) ||
           (is(key, "Depth map") && given->depth_map);
}

static int take(reader *r, const char *key, char *value)
{
    settings *s = r->s;
    if (is(key, "Steps"))
        return take_whole(key, value, INT32_MIN, INT32_MAX, &s->steps);
    if (is(key, "Seed"))
        return take_whole(key, value, INT64_MIN, INT64_MAX, &s->seed);
    if (is(key, "CFG scale"))
        return take_real(key, value, &s->cfg_scale);
    if (is(key, "Size"))
        return take_size(s, key, value);
    if (is(key, "Clip skip"))
        return take_whole(key, value, INT32_MIN, INT32_MAX, &s->clip_skip);
    if (is(key, "Class"))
        return take_whole(key, value, 0, INT32_MAX, &s->class_label);
    if (is(key, "Eta") || is(key, "Eta DDIM"))
        return take_real(key, value, &s->eta);
    if (is(key, "Denoising strength"))
        return take_real(key, value, &s->strength);
    if (is(key, "Mask blur"))
        return take_real(key, value, &s->mask_blur);
    if (is(key, "CFG rescale"))
        return take_real(key, value, &s->cfg_rescale);
    if (is(key, "Masked area padding"))
        return take_whole(key, value, 0, INT32_MAX, &s->mask_padding);
    for (int i = 0; i < EXTRAS; i++)
        if (is(key, extras[i].key))
            return take_extra(s, &extras[i], value);
    if (is(key, "Sampler"))
        r->sampler = value;
    else if (is(key, "Sampler id"))
        r->sampler_id = value;
    else if (is(key, "Schedule type"))
        r->schedule = value;
    else if (is(key, "Model"))
        r->model = value;
    else if (is(key, "Inpaint area"))
        s->inpaint_area = r->given->mask && is(value, only_masked); // useless without
    else if (is(key, "RNG"))
        s->rng = !is(value, "CPU") && !is(value, "cpu");
    else if (!is_given(r->given, key))
        ignore(r, key, value);
    r->foreign_rng &= !is(key, "RNG");
    return 0;
}

static int take_sampler(reader *r)
{
    const char *name = NULL, *schedule = NULL;
    if (!r->sampler && !r->sampler_id)
        return 0;
    const int known = sampler_from_shown(r->sampler ? r->sampler : r->sampler_id, r->schedule,
                                         &name, &schedule);
    if (!known && !r->sampler_id)
        return fail(SDIFF_ERROR_UNSUPPORTED,
                    "the picture was made with the sampler '%.60s', which is not known here (see "
                    "--list-samplers; --sampling-method names another)",
                    r->sampler);
    r->s->sampler = r->sampler_id ? r->sampler_id : name;
    r->s->schedule = schedule;
    return 0;
}

/* The last line, if it has at least three settings; cuts it off. */
static char *settings_line(char *text)
{
    char *line = strrchr(text, '\n');
    int colons = 0;
    line = line ? line + 1 : text;
    for (const char *at = line; (at = strstr(at, ": ")); at++)
        colons++;
    if (colons < 3)
        return NULL;
    if (line > text)
        line[-1] = '\0';
    return line;
}

/* What is before the settings: the prompt, and from a line of its own on the negative one. */
static void take_prompts(settings *s, char *text)
{
    static const char mark[] = "Negative prompt:";
    s->prompt = text;
    s->negative = NULL;
    for (char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, mark, sizeof mark - 1) != 0)
            continue;
        for (s->negative = line + sizeof mark - 1; *s->negative == ' ';)
            s->negative++;
        if (line > text)
            line--;
        *line = '\0';
        return;
    }
}

int parameters_read(settings *s, const settings *given, char *text, char *ignored,
                    size_t ignored_size, const char **model)
{
    reader r = {.s = s, .given = given, .ignored = ignored, .ignored_size = ignored_size,
                .foreign_rng = 1};
    static char empty[1];
    size_t length = strlen(text);
    ignored[0] = '\0';
    while (length && strchr("\r\n ", text[length - 1]))
        text[--length] = '\0';
    char *line = settings_line(text);
    take_prompts(s, line == text ? empty : text);
    for (char *key, *value; line && *line;) {
        line = next_setting(line, &key, &value);
        const int code = line ? take(&r, key, value) : 0;
        if (code)
            return code;
    }
    if (r.foreign_rng)
        s->rng = SDIFF_RNG_PHILOX;
    *model = r.model;
    return take_sampler(&r);
}
