/* The motion prompt layer on a CPU, compiled on the user's machine by fused_native.py.

   A block of pixels goes through all frames while its grey values and its attention stay in the
   cache. Each loop is one that compilers make vector code of: one index, no calls, no
   sums that would have to be reordered. NaN and infinities pass as they do in the formula.

   A batch is cut into parts, runs of pixels of a clip. With OpenMP a call shares its parts out to
   torch's own threads; others would come behind these, which go on spinning after an operation. */

#include <stdint.h>
#include <string.h>

#define BLOCK 256
#define INLINE static inline __attribute__((always_inline))
#define EACH(i, n) for (int64_t i = 0; i < (n); i++)
/* Ask early for a block of three planes: each begins on a page of its own, where a processor does
   not look ahead by itself. `writes` is 1 for memory that is about to be written. */
#define FETCH(planes, step, n, writes)                                                            \
    EACH(plane, 3)                                                                                \
    for (int64_t at = 0; at < (n); at += 16)                                                      \
    __builtin_prefetch((planes) + plane * (step) + at, writes, 2)

#ifdef _OPENMP
#define SHARED_OUT _Pragma("omp parallel for schedule(dynamic) num_threads((int)a->threads)")
const int shares_out = 1;
#else
#define SHARED_OUT
const int shares_out = 0;
#endif

typedef struct {
    int64_t time, pixels, parts, part_pixels, threads;
    int64_t frames_b, frames_t, frames_c, video_b, video_t, video_c, target_b, target_t, target_c;
    int64_t varies;
    float weight[3], scale[3], offset[3], slope, shift, per_change;
} Prompt;

/* Part `index` of a batch, of which each clip has `parts`: its clip, and its pixels. */
typedef struct {
    int64_t clip, from, to;
} Part;

INLINE Part part_of(const Prompt *a, int64_t index) {
    Part part = {index / a->parts, index % a->parts * a->part_pixels, 0};
    part.to = part.from + a->part_pixels < a->pixels ? part.from + a->part_pixels : a->pixels;
    return part;
}

/* 1 / (1 + exp(-x)) to about two units in the last place; 0 and 1 at the infinities. */
INLINE float sigmoid(float x) {
    float y = -x;
    y = y > 89.0f ? 89.0f : y;
    y = y < -87.0f ? -87.0f : y;
    /* Adding 1.5 * 2^23 rounds to the nearest integer and leaves it in the lowest bits. */
    float shifted = y * 1.44269504f + 12582912.0f;
    uint32_t bits;
    memcpy(&bits, &shifted, 4);
    float n = shifted - 12582912.0f;
    float r = (y - n * 0.693359375f) + n * 2.12194440e-4f;
    float p = 1.0f / 5040;
    p = p * r + 1.0f / 720;
    p = p * r + 1.0f / 120;
    p = p * r + 1.0f / 24;
    p = p * r + 1.0f / 6;
    p = p * r + 0.5f;
    p = p * r * r + r + 1.0f;
    uint32_t exponent = (bits - 0x4B400000u + 127u) << 23;
    float power;
    memcpy(&power, &exponent, 4);
    return 1.0f / (1.0f + p * power);
}

INLINE double sum(const float *values, int64_t n) {
    float lanes[16] = {0}, rest = 0;
    int64_t i = 0;
    for (; i + 16 <= n; i += 16) EACH(k, 16) lanes[k] += values[i + k];
    for (; i < n; i++) rest += values[i];
    EACH(k, 16) rest += lanes[k];
    return rest;
}

INLINE float value(const Prompt *a, const void *frames, int64_t at, int c, int bytes) {
    if (bytes) return ((const uint8_t *)frames)[at] * a->scale[c] + a->offset[c];
    return ((const float *)frames)[at];
}

/* `in` and `out` are the steps from pixel to pixel, 1 (planes) or 3 (channels side by side);
   constants in every use. */
INLINE double forward(const Prompt *given, const void *restrict frames, float *restrict video,
                      float *restrict attention, int64_t from, int64_t to, int bytes, int in,
                      int out) {
    const Prompt settings = *given, *a = &settings;
    double total = 0;
    for (int64_t start = from; start < to; start += BLOCK) {
        int64_t n = to - start < BLOCK ? to - start : BLOCK;
        float grey[BLOCK], before[BLOCK], change[BLOCK];
        for (int64_t t = 0; t < a->time; t++) {
            int64_t x = start * in + t * a->frames_t, c = in == 1 ? a->frames_c : 1;
            if (t == 0) {
                EACH(i, n) {
                    grey[i] = value(a, frames, x + i * in, 0, bytes) * a->weight[0] +
                              value(a, frames, x + i * in + c, 1, bytes) * a->weight[1] +
                              value(a, frames, x + i * in + 2 * c, 2, bytes) * a->weight[2];
                    before[i] = 0;
                }
                continue;
            }
            float *v = video + start * out + (t - 1) * a->video_t;
            int64_t v_c = out == 1 ? a->video_c : 1;
            float *map = attention + start + (t - 1) * a->pixels;
            if (t + 1 < a->time) {
                if (in == 1) FETCH((const float *)frames + x + a->frames_t, c, n, 0);
                if (out == 1) FETCH(v + a->video_t, v_c, n, 1);
            }
            EACH(i, n) {
                float r = value(a, frames, x + i * in, 0, bytes);
                float g = value(a, frames, x + i * in + c, 1, bytes);
                float b = value(a, frames, x + i * in + 2 * c, 2, bytes);
                float later = r * a->weight[0] + g * a->weight[1] + b * a->weight[2];
                float w = sigmoid(a->slope * ((later - grey[i]) - a->shift));
                grey[i] = later;
                v[i * out] = r * w;
                v[i * out + v_c] = g * w;
                v[i * out + 2 * v_c] = b * w;
                map[i] = w;
                change[i] = (w - before[i]) * (w - before[i]);
                before[i] = w;
            }
            if (t > 1) total += sum(change, n);
        }
    }
    return total;
}

/* One map's gradient with respect to slope * (D - shift), and its product with D - shift. */
INLINE void scores(float *restrict score, float *restrict product, const float *restrict before,
                   const float *restrict now, const float *restrict after,
                   const float *restrict moved, const float *restrict x, int64_t x_c,
                   const float *restrict arriving, int64_t arriving_c, const float *restrict map,
                   float per_change, int64_t n, int of_video, int of_map, int of_variation) {
    EACH(i, n) {
        float s = 0;
        if (of_video) {
            s = arriving[i] * x[i] + arriving[i + arriving_c] * x[i + x_c] +
                arriving[i + 2 * arriving_c] * x[i + 2 * x_c];
        }
        if (of_map) s += map[i];
        if (of_variation) s += per_change * ((now[i] - before[i]) - (after[i] - now[i]));
        s = s * (1.0f - now[i]) * now[i];
        score[i] = s;
        product[i] = s * moved[i];
    }
}

/* Of score and arriving prompts, to frame t: what frame t is the later of, less what it is the
   earlier of. Null scores and arriving prompts count as 0. */
INLINE void to_frame(const Prompt *a, float *restrict target, const float *restrict later,
                     const float *restrict earlier, const float *restrict arriving,
                     const float *restrict map, int64_t n) {
    EACH(c, 3) {
        float *out = target + c * a->target_c, step = a->slope * a->weight[c];
        const float *video = arriving ? arriving + c * a->video_c : 0;
        if (!later) EACH(i, n) out[i] = -step * earlier[i];
        else if (!earlier) EACH(i, n) out[i] = step * later[i];
        else EACH(i, n) out[i] = step * (later[i] - earlier[i]);
        if (video) EACH(i, n) out[i] += video[i] * map[i];
    }
}

INLINE void backward(const Prompt *given, const float *restrict frames,
                     const float *restrict arriving, const float *restrict arriving_map,
                     float *restrict target, int64_t from, int64_t to, double *sums) {
    const Prompt settings = *given, *a = &settings;
    const int given_grads = (arriving != 0) | (arriving_map != 0) << 1 | (a->varies != 0) << 2;
    float grey[BLOCK], product[BLOCK], maps[3][BLOCK], moves[2][BLOCK], both_scores[2][BLOCK];
    for (int64_t start = from; start < to; start += BLOCK) {
        int64_t n = to - start < BLOCK ? to - start : BLOCK;
        float *before = maps[0], *now = maps[0], *after = maps[1], *spare = maps[2];
        float *moved = moves[0], *moved_after = moves[1];
        float *score = both_scores[0], *score_before = both_scores[1];
        for (int64_t t = -2; t < a->time - 1; t++) {
            /* One frame ahead: the variation ties each map to the one after it. */
            if (t + 2 < a->time) {
                const float *r = frames + start + (t + 2) * a->frames_t;
                const float *g = r + a->frames_c, *b = g + a->frames_c;
                float *ahead = t == -1 ? now : after;
                if (t + 3 < a->time) FETCH(r + a->frames_t, a->frames_c, n, 0);
                float *difference = t == -1 ? moved : moved_after;
                EACH(i, n) {
                    float later = r[i] * a->weight[0] + g[i] * a->weight[1] + b[i] * a->weight[2];
                    if (t >= -1) {
                        difference[i] = (later - grey[i]) - a->shift;
                        ahead[i] = sigmoid(a->slope * difference[i]);
                    }
                    grey[i] = later;
                }
            } else {
                after = now; /* no change past the last map */
            }
            if (t < 0) continue;
            const float *x = frames + start + (t + 1) * a->frames_t;
            const float *video = arriving ? arriving + start + t * a->video_t : 0;
            const float *map = arriving_map ? arriving_map + start + t * a->pixels : 0;
            if (arriving && t < a->time - 2) FETCH(video + a->video_t, a->video_c, n, 0);
#define CASE(of)                                                                                  \
    case of:                                                                                      \
        scores(score, product, before, now, after, moved, x, a->frames_c, video, a->video_c, map, \
               a->per_change, n, (of) & 1, (of) >> 1 & 1, (of) >> 2);                             \
        break;
            switch (given_grads) {
                CASE(0) CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6) CASE(7)
            }
            sums[0] += sum(product, n);
            sums[1] += sum(score, n);
            if (target) {
                float *out = target + start + t * a->target_t;
                const float *video_before = arriving && t > 0 ? video - a->video_t : 0;
                to_frame(a, out, t > 0 ? score_before : 0, score, video_before, before, n);
                if (t == a->time - 2) to_frame(a, out + a->target_t, score, 0, video, now, n);
            }
            float *free_map = before == now ? spare : before, *free_move = moved;
            before = now, now = after, after = free_map;
            moved = moved_after, moved_after = free_move;
            float *free_score = score_before;
            score_before = score, score = free_score;
        }
    }
}

/* Parts `first` to `stop` of a batch; squares: the variation's, one for each part. */
#define FORWARD(name, bytes, in, out)                                                             \
    void name(const Prompt *a, const void *frames, float *video, float *maps, int64_t first,      \
              int64_t stop, double *squares) {                                                    \
        int64_t clip_bytes = a->frames_b * ((bytes) ? 1 : 4);                                     \
        SHARED_OUT                                                                                \
        for (int64_t index = first; index < stop; index++) {                                      \
            Part p = part_of(a, index);                                                           \
            squares[index] = forward(a, (const char *)frames + p.clip * clip_bytes,               \
                                     video + p.clip * a->video_b,                                 \
                                     maps + p.clip * (a->time - 1) * a->pixels, p.from, p.to,     \
                                     bytes, in, out);                                             \
        }                                                                                         \
    }

FORWARD(prompt_planes, 0, 1, 1)
FORWARD(prompt_interleaved, 0, 3, 3)
FORWARD(prompt_bytes_to_planes, 1, 3, 1)
FORWARD(prompt_bytes_interleaved, 1, 3, 3)

/* Frames in float32, planes. Absent gradients are null. sums: of the products and of the scores,
   two for each part. */
void prompt_backward(const Prompt *a, const float *frames, const float *arriving,
                     const float *arriving_maps, float *target, int64_t first, int64_t stop,
                     double *sums) {
    SHARED_OUT
    for (int64_t index = first; index < stop; index++) {
        Part p = part_of(a, index);
        int64_t maps = p.clip * (a->time - 1) * a->pixels;
        backward(a, frames + p.clip * a->frames_b, arriving ? arriving + p.clip * a->video_b : 0,
                 arriving_maps ? arriving_maps + maps : 0,
                 target ? target + p.clip * a->target_b : 0, p.from, p.to, sums + 2 * index);
    }
}
