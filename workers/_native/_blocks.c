/*
 * Hashes runs of 512-byte blocks with SHA-256 (FIPS 180-4), salted as dm-verity does, and nothing
 * else: no length or offset in here comes from the bytes that are hashed.
 *
 * One block is 32 bytes of salt, 512 of data and a padding that is always the same: nine
 * compressions. SHA instructions have a latency of several cycles, so independent blocks are
 * interleaved to fill it. Which form runs is decided once, by what the processor has.
 */
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>
#include <stdint.h>
#include <string.h>

#define BLOCK 512
#define DIGEST 32
#define ALWAYS_INLINE static inline __attribute__((always_inline))

static const uint32_t K[64] __attribute__((aligned(64))) = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};
static const uint32_t IV[8] __attribute__((aligned(32))) = {
    0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
};
/* What follows salt and block in the ninth compression: a one bit, zeros, the length in bits. */
static const uint8_t PAD[32] __attribute__((aligned(32))) = {
    [0] = 0x80, [30] = ((32 + BLOCK) * 8) >> 8, [31] = ((32 + BLOCK) * 8) & 0xff,
};

/*
 * Another stream that advances beside the blocks, as far as it reaches: the instructions of one
 * wait for their results while those of the other run. ``data`` moves on; ``left`` is in bytes.
 */
struct beside {
    const uint8_t *data;
    size_t left;
    uint32_t state[8];
};

/* The j-th compression takes 32 bytes at LOW and 32 at HIGH. */
#define LOW(block, j) ((j) == 0 ? salt : (block) + 64 * (j) - 32)
#define HIGH(block, j) ((j) == 8 ? PAD : (block) + 64 * (j))

/* ------------------------------------------------------------------------------- plain C */

#define ROTR(x, n) ((x) >> (n) | (x) << (32 - (n)))

static uint32_t load_be(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void store_be(uint8_t *p, uint32_t x)
{
    p[0] = x >> 24; p[1] = x >> 16; p[2] = x >> 8; p[3] = x;
}

static void plain_compress(uint32_t h[8], const uint8_t *low, const uint8_t *high)
{
    uint32_t w[64], s[8];
    for (int i = 0; i < 8; i++) {
        w[i] = load_be(low + 4 * i);
        w[8 + i] = load_be(high + 4 * i);
    }
    for (int i = 16; i < 64; i++) {
        uint32_t a = w[i - 15], b = w[i - 2];
        w[i] = w[i - 16] + w[i - 7] + (ROTR(a, 7) ^ ROTR(a, 18) ^ a >> 3)
             + (ROTR(b, 17) ^ ROTR(b, 19) ^ b >> 10);
    }
    memcpy(s, h, sizeof s);
    for (int i = 0; i < 64; i++) {
        uint32_t e = s[4], a = s[0];
        uint32_t t1 = s[7] + (ROTR(e, 6) ^ ROTR(e, 11) ^ ROTR(e, 25)) + ((e & s[5]) ^ (~e & s[6]))
                    + K[i] + w[i];
        uint32_t t2 = (ROTR(a, 2) ^ ROTR(a, 13) ^ ROTR(a, 22))
                    + ((a & s[1]) ^ (a & s[2]) ^ (s[1] & s[2]));
        memmove(s + 1, s, 7 * sizeof *s);
        s[4] += t1;
        s[0] = t1 + t2;
    }
    for (int i = 0; i < 8; i++) h[i] += s[i];
}

static void plain_stream(const uint8_t *data, size_t size, uint32_t *state)
{
    for (; size; size -= 64, data += 64) plain_compress(state, data, data + 32);
}

static void plain_blocks(const uint8_t *data, size_t count, const uint8_t *salt, uint8_t *out,
                         uint32_t *stream, struct beside *beside)
{
    (void)beside;
    for (; count; count--, data += BLOCK, out += DIGEST) {
        uint32_t h[8];
        memcpy(h, IV, sizeof h);
        for (int j = 0; j < 9; j++) plain_compress(h, LOW(data, j), HIGH(data, j));
        for (int i = 0; i < 8; i++) store_be(out + 4 * i, h[i]);
        if (stream) plain_stream(data, BLOCK, stream);
    }
}

/* -------------------------------------------------------------------- x86-64, SHA extensions */

#if defined(__x86_64__) && defined(__GNUC__)
#include <cpuid.h>
#include <immintrin.h>
#define NI __attribute__((target("sha,sse4.1,ssse3")))

/* State as the instructions want it: {ABEF, CDGH}, and back. */
NI ALWAYS_INLINE void ni_pack(const uint32_t h[8], __m128i *abef, __m128i *cdgh)
{
    __m128i dcba = _mm_loadu_si128((const __m128i *)h);
    __m128i hgfe = _mm_loadu_si128((const __m128i *)(h + 4));
    __m128i cdab = _mm_shuffle_epi32(dcba, 0xB1), efgh = _mm_shuffle_epi32(hgfe, 0x1B);
    *abef = _mm_alignr_epi8(cdab, efgh, 8);
    *cdgh = _mm_blend_epi16(efgh, cdab, 0xF0);
}

NI ALWAYS_INLINE void ni_unpack(__m128i abef, __m128i cdgh, __m128i *dcba, __m128i *hgfe)
{
    __m128i feba = _mm_shuffle_epi32(abef, 0x1B), dchg = _mm_shuffle_epi32(cdgh, 0xB1);
    *dcba = _mm_blend_epi16(feba, dchg, 0xF0);
    *hgfe = _mm_alignr_epi8(dchg, feba, 8);
}

/* One compression of n independent streams; n is a constant wherever this is inlined. */
NI ALWAYS_INLINE void ni_compress(int n, __m128i *abef, __m128i *cdgh,
                                  const uint8_t *const *low, const uint8_t *const *high)
{
    const __m128i swap = _mm_set_epi64x(0x0c0d0e0f08090a0bULL, 0x0405060700010203ULL);
    __m128i a[4], c[4], m[4][4];
#pragma GCC unroll 4
    for (int s = 0; s < n; s++) {
        a[s] = abef[s];
        c[s] = cdgh[s];
    }
#pragma GCC unroll 16
    for (int g = 0; g < 16; g++) {
#pragma GCC unroll 4
        for (int s = 0; s < n; s++) {
            __m128i w;
            if (g < 4) {
                const uint8_t *p = g < 2 ? low[s] + 16 * g : high[s] + 16 * (g - 2);
                w = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)p), swap);
            } else {
                __m128i last = m[s][(g + 3) & 3];
                w = _mm_add_epi32(_mm_sha256msg1_epu32(m[s][g & 3], m[s][(g + 1) & 3]),
                                  _mm_alignr_epi8(last, m[s][(g + 2) & 3], 4));
                w = _mm_sha256msg2_epu32(w, last);
            }
            m[s][g & 3] = w;
            w = _mm_add_epi32(w, _mm_load_si128((const __m128i *)(K + 4 * g)));
            c[s] = _mm_sha256rnds2_epu32(c[s], a[s], w);
            a[s] = _mm_sha256rnds2_epu32(a[s], c[s], _mm_shuffle_epi32(w, 0x0E));
        }
    }
#pragma GCC unroll 4
    for (int s = 0; s < n; s++) {
        abef[s] = _mm_add_epi32(abef[s], a[s]);
        cdgh[s] = _mm_add_epi32(cdgh[s], c[s]);
    }
}

NI ALWAYS_INLINE void ni_store(uint8_t *out, __m128i abef, __m128i cdgh)
{
    const __m128i swap = _mm_set_epi64x(0x0c0d0e0f08090a0bULL, 0x0405060700010203ULL);
    __m128i dcba, hgfe;
    ni_unpack(abef, cdgh, &dcba, &hgfe);
    _mm_storeu_si128((__m128i *)out, _mm_shuffle_epi8(dcba, swap));
    _mm_storeu_si128((__m128i *)(out + 16), _mm_shuffle_epi8(hgfe, swap));
}

/* n blocks side by side. */
NI ALWAYS_INLINE void ni_leaves(int n, const uint8_t *data, const uint8_t *salt, uint8_t *out)
{
    __m128i abef[4], cdgh[4];
    const uint8_t *low[4], *high[4];
    for (int s = 0; s < n; s++) ni_pack(IV, &abef[s], &cdgh[s]);
    for (int j = 0; j < 9; j++) {
        for (int s = 0; s < n; s++) {
            low[s] = LOW(data + s * BLOCK, j);
            high[s] = HIGH(data + s * BLOCK, j);
        }
        ni_compress(n, abef, cdgh, low, high);
    }
    for (int s = 0; s < n; s++) ni_store(out + s * DIGEST, abef[s], cdgh[s]);
}

NI ALWAYS_INLINE void ni_unpack_to(uint32_t *h, __m128i abef, __m128i cdgh)
{
    __m128i dcba, hgfe;
    ni_unpack(abef, cdgh, &dcba, &hgfe);
    _mm_storeu_si128((__m128i *)h, dcba);
    _mm_storeu_si128((__m128i *)(h + 4), hgfe);
}

/*
 * Code that ran before in this thread may have left the upper halves of the vector registers in
 * use, as ISA-L does. Each of our instructions would then have to keep them: three times as slow.
 */
static int has_avx;

__attribute__((target("avx"))) static void clear_upper_halves(void)
{
    _mm256_zeroupper();
}

NI static void ni_stream(const uint8_t *data, size_t size, uint32_t *state)
{
    __m128i abef, cdgh;
    if (has_avx) clear_upper_halves();
    ni_pack(state, &abef, &cdgh);
    for (; size; size -= 64, data += 64) {
        const uint8_t *low[1] = {data}, *high[1] = {data + 32};
        ni_compress(1, &abef, &cdgh, low, high);
    }
    ni_unpack_to(state, abef, cdgh);
}

/* One block, while the stream's digest goes over the same block and, with n = 3, over ``other``. */
NI ALWAYS_INLINE void ni_together(int n, const uint8_t *data, const uint8_t *salt, uint8_t *out,
                                  __m128i *abef, __m128i *cdgh, const uint8_t *other)
{
    ni_pack(IV, &abef[0], &cdgh[0]);
    for (int j = 0; j < 8; j++) {
        const uint8_t *low[3] = {LOW(data, j), data + 64 * j, other + 64 * j};
        const uint8_t *high[3] = {data + 64 * j, data + 64 * j + 32, other + 64 * j + 32};
        ni_compress(n, abef, cdgh, low, high);
    }
    const uint8_t *low[1] = {data + BLOCK - 32}, *high[1] = {PAD};
    ni_compress(1, abef, cdgh, low, high);
    ni_store(out, abef[0], cdgh[0]);
}

NI static void ni_both(const uint8_t *data, size_t count, const uint8_t *salt, uint8_t *out,
                       uint32_t *stream, struct beside *beside)
{
    __m128i abef[3], cdgh[3];
    ni_pack(stream, &abef[1], &cdgh[1]);
    ni_pack(beside->state, &abef[2], &cdgh[2]);
    for (; count && beside->left >= BLOCK; count--, data += BLOCK, out += DIGEST) {
        ni_together(3, data, salt, out, abef, cdgh, beside->data);
        beside->data += BLOCK;
        beside->left -= BLOCK;
    }
    ni_unpack_to(beside->state, abef[2], cdgh[2]);
    for (; count; count--, data += BLOCK, out += DIGEST)
        ni_together(2, data, salt, out, abef, cdgh, data);
    ni_unpack_to(stream, abef[1], cdgh[1]);
}

NI static void ni_blocks(const uint8_t *data, size_t count, const uint8_t *salt, uint8_t *out,
                         uint32_t *stream, struct beside *beside)
{
    if (has_avx) clear_upper_halves();
    if (stream) {
        ni_both(data, count, salt, out, stream, beside);
        return;
    }
    for (; count >= 3; count -= 3, data += 3 * BLOCK, out += 3 * DIGEST)
        ni_leaves(3, data, salt, out);
    for (; count; count--, data += BLOCK, out += DIGEST) ni_leaves(1, data, salt, out);
}

static int has_sha(void)
{
    unsigned a, b, c, d;
    __builtin_cpu_init();
    has_avx = __builtin_cpu_supports("avx") != 0;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_SSSE3) || !(c & bit_SSE4_1)) return 0;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & bit_SHA);
}

#define FAST ni_blocks
#define FAST_STREAM ni_stream
#define FAST_NAME "x86-sha"
#endif

/* ------------------------------------------------------------------- arm64, SHA2 extension */

#if defined(__aarch64__) && defined(__GNUC__)
#include <arm_neon.h>
#if defined(__linux__)
#include <sys/auxv.h>
#ifndef HWCAP_SHA2
#define HWCAP_SHA2 (1 << 6)
#endif
#endif
#if defined(__clang__)
#define CE __attribute__((target("sha2")))
#else
#define CE __attribute__((target("+crypto")))
#endif

/* One compression of n independent streams; n is a constant wherever this is inlined. */
CE ALWAYS_INLINE void ce_compress(int n, uint32x4_t *abcd, uint32x4_t *efgh,
                                  const uint8_t *const *low, const uint8_t *const *high)
{
    uint32x4_t a[3], e[3], m[3][4];
#pragma GCC unroll 3
    for (int s = 0; s < n; s++) {
        a[s] = abcd[s];
        e[s] = efgh[s];
    }
#pragma GCC unroll 16
    for (int g = 0; g < 16; g++) {
#pragma GCC unroll 3
        for (int s = 0; s < n; s++) {
            uint32x4_t w;
            if (g < 4) {
                const uint8_t *p = g < 2 ? low[s] + 16 * g : high[s] + 16 * (g - 2);
                w = vreinterpretq_u32_u8(vrev32q_u8(vld1q_u8(p)));
            } else {
                w = vsha256su1q_u32(vsha256su0q_u32(m[s][g & 3], m[s][(g + 1) & 3]),
                                    m[s][(g + 2) & 3], m[s][(g + 3) & 3]);
            }
            m[s][g & 3] = w;
            w = vaddq_u32(w, vld1q_u32(K + 4 * g));
            uint32x4_t before = a[s];
            a[s] = vsha256hq_u32(a[s], e[s], w);
            e[s] = vsha256h2q_u32(e[s], before, w);
        }
    }
#pragma GCC unroll 3
    for (int s = 0; s < n; s++) {
        abcd[s] = vaddq_u32(abcd[s], a[s]);
        efgh[s] = vaddq_u32(efgh[s], e[s]);
    }
}

CE ALWAYS_INLINE void ce_leaves(int n, const uint8_t *data, const uint8_t *salt, uint8_t *out)
{
    uint32x4_t abcd[3], efgh[3];
    const uint8_t *low[3], *high[3];
    for (int s = 0; s < n; s++) {
        abcd[s] = vld1q_u32(IV);
        efgh[s] = vld1q_u32(IV + 4);
    }
    for (int j = 0; j < 9; j++) {
        for (int s = 0; s < n; s++) {
            low[s] = LOW(data + s * BLOCK, j);
            high[s] = HIGH(data + s * BLOCK, j);
        }
        ce_compress(n, abcd, efgh, low, high);
    }
    for (int s = 0; s < n; s++) {
        vst1q_u8(out + s * DIGEST, vrev32q_u8(vreinterpretq_u8_u32(abcd[s])));
        vst1q_u8(out + s * DIGEST + 16, vrev32q_u8(vreinterpretq_u8_u32(efgh[s])));
    }
}

CE static void ce_stream(const uint8_t *data, size_t size, uint32_t *state)
{
    uint32x4_t abcd = vld1q_u32(state), efgh = vld1q_u32(state + 4);
    for (; size; size -= 64, data += 64) {
        const uint8_t *low[1] = {data}, *high[1] = {data + 32};
        ce_compress(1, &abcd, &efgh, low, high);
    }
    vst1q_u32(state, abcd);
    vst1q_u32(state + 4, efgh);
}

/* One block, while the stream's digest goes over the same block and, with n = 3, over ``other``. */
CE ALWAYS_INLINE void ce_together(int n, const uint8_t *data, const uint8_t *salt, uint8_t *out,
                                  uint32x4_t *abcd, uint32x4_t *efgh, const uint8_t *other)
{
    abcd[0] = vld1q_u32(IV);
    efgh[0] = vld1q_u32(IV + 4);
    for (int j = 0; j < 8; j++) {
        const uint8_t *low[3] = {LOW(data, j), data + 64 * j, other + 64 * j};
        const uint8_t *high[3] = {data + 64 * j, data + 64 * j + 32, other + 64 * j + 32};
        ce_compress(n, abcd, efgh, low, high);
    }
    const uint8_t *low[1] = {data + BLOCK - 32}, *high[1] = {PAD};
    ce_compress(1, abcd, efgh, low, high);
    vst1q_u8(out, vrev32q_u8(vreinterpretq_u8_u32(abcd[0])));
    vst1q_u8(out + 16, vrev32q_u8(vreinterpretq_u8_u32(efgh[0])));
}

CE static void ce_both(const uint8_t *data, size_t count, const uint8_t *salt, uint8_t *out,
                       uint32_t *stream, struct beside *beside)
{
    uint32x4_t abcd[3], efgh[3];
    abcd[1] = vld1q_u32(stream);
    efgh[1] = vld1q_u32(stream + 4);
    abcd[2] = vld1q_u32(beside->state);
    efgh[2] = vld1q_u32(beside->state + 4);
    for (; count && beside->left >= BLOCK; count--, data += BLOCK, out += DIGEST) {
        ce_together(3, data, salt, out, abcd, efgh, beside->data);
        beside->data += BLOCK;
        beside->left -= BLOCK;
    }
    vst1q_u32(beside->state, abcd[2]);
    vst1q_u32(beside->state + 4, efgh[2]);
    for (; count; count--, data += BLOCK, out += DIGEST)
        ce_together(2, data, salt, out, abcd, efgh, data);
    vst1q_u32(stream, abcd[1]);
    vst1q_u32(stream + 4, efgh[1]);
}

CE static void ce_blocks(const uint8_t *data, size_t count, const uint8_t *salt, uint8_t *out,
                         uint32_t *stream, struct beside *beside)
{
    if (stream) {
        ce_both(data, count, salt, out, stream, beside);
        return;
    }
    for (; count >= 3; count -= 3, data += 3 * BLOCK, out += 3 * DIGEST)
        ce_leaves(3, data, salt, out);
    for (; count; count--, data += BLOCK, out += DIGEST) ce_leaves(1, data, salt, out);
}

static int has_sha(void)
{
#if defined(__linux__)
    return (getauxval(AT_HWCAP) & HWCAP_SHA2) != 0;
#elif defined(__APPLE__)
    return 1;
#else
    return 0;
#endif
}
#define FAST ce_blocks
#define FAST_STREAM ce_stream
#define FAST_NAME "arm-sha2"
#endif

/* --------------------------------------------------------------------------- the module */

typedef void blocks_function(const uint8_t *, size_t, const uint8_t *, uint8_t *, uint32_t *,
                             struct beside *);
typedef void stream_function(const uint8_t *, size_t, uint32_t *);

struct form {
    blocks_function *blocks;
    stream_function *stream;
};

static const struct form plain = {plain_blocks, plain_stream};
static struct form chosen = {plain_blocks, plain_stream};
static const char *chosen_name = "plain";

static void load_state(uint32_t state[8], const uint8_t *bytes)
{
    for (int i = 0; i < 8; i++) state[i] = load_be(bytes + 4 * i);
}

static void store_state(uint8_t *bytes, const uint32_t state[8])
{
    for (int i = 0; i < 8; i++) store_be(bytes + 4 * i, state[i]);
}

static PyObject *wrong_length(void)
{
    PyErr_SetString(PyExc_ValueError, "a buffer has the wrong length");
    return NULL;
}

static PyObject *hash_blocks(PyObject *args, const struct form *form)
{
    Py_buffer data, salt, out;
    PyObject *result = NULL;
    if (!PyArg_ParseTuple(args, "y*y*w*", &data, &salt, &out)) return NULL;
    if (data.len % BLOCK || salt.len != 32 || out.len < data.len / BLOCK * DIGEST) {
        wrong_length();
    } else {
        struct beside none = {0};
        Py_BEGIN_ALLOW_THREADS
        form->blocks(data.buf, (size_t)data.len / BLOCK, salt.buf, out.buf, NULL, &none);
        Py_END_ALLOW_THREADS
        result = Py_NewRef(Py_None);
    }
    PyBuffer_Release(&data);
    PyBuffer_Release(&salt);
    PyBuffer_Release(&out);
    return result;
}

static PyObject *hash_streams(PyObject *args, const struct form *form)
{
    Py_buffer data, salt, out, state, other, other_state;
    PyObject *result = NULL;
    if (!PyArg_ParseTuple(args, "y*y*w*w*y*w*", &data, &salt, &out, &state, &other, &other_state))
        return NULL;
    if (data.len % BLOCK || salt.len != 32 || out.len < data.len / BLOCK * DIGEST
        || state.len != DIGEST || other.len % 64 || other_state.len != DIGEST) {
        wrong_length();
    } else {
        uint32_t stream[8];
        struct beside beside = {other.buf, (size_t)other.len, {0}};
        Py_BEGIN_ALLOW_THREADS
        load_state(stream, state.buf);
        load_state(beside.state, other_state.buf);
        form->blocks(data.buf, (size_t)data.len / BLOCK, salt.buf, out.buf, stream, &beside);
        form->stream(beside.data, beside.left, beside.state);
        store_state(state.buf, stream);
        store_state(other_state.buf, beside.state);
        Py_END_ALLOW_THREADS
        result = Py_NewRef(Py_None);
    }
    PyBuffer_Release(&data);
    PyBuffer_Release(&salt);
    PyBuffer_Release(&out);
    PyBuffer_Release(&state);
    PyBuffer_Release(&other);
    PyBuffer_Release(&other_state);
    return result;
}

static PyObject *hash_stream(PyObject *args, const struct form *form)
{
    Py_buffer data, state;
    PyObject *result = NULL;
    if (!PyArg_ParseTuple(args, "y*w*", &data, &state)) return NULL;
    if (data.len % 64 || state.len != DIGEST) {
        wrong_length();
    } else {
        uint32_t words[8];
        Py_BEGIN_ALLOW_THREADS
        load_state(words, state.buf);
        form->stream(data.buf, (size_t)data.len, words);
        store_state(state.buf, words);
        Py_END_ALLOW_THREADS
        result = Py_NewRef(Py_None);
    }
    PyBuffer_Release(&data);
    PyBuffer_Release(&state);
    return result;
}

#define FUNCTION(name, implementation, form)                                                      \
    static PyObject *name(PyObject *module, PyObject *args)                                        \
    {                                                                                              \
        (void)module;                                                                              \
        return implementation(args, form);                                                         \
    }

FUNCTION(block_hashes, hash_blocks, &chosen)
FUNCTION(block_hashes_and_streams, hash_streams, &chosen)
FUNCTION(compress, hash_stream, &chosen)
FUNCTION(plain_block_hashes, hash_blocks, &plain)
FUNCTION(plain_block_hashes_and_streams, hash_streams, &plain)
FUNCTION(plain_compress_stream, hash_stream, &plain)

static PyMethodDef methods[] = {
    {"block_hashes", block_hashes, METH_VARARGS,
     "block_hashes(data, salt, out): sha256(salt + block) of each 512-byte block of data."},
    {"block_hashes_and_streams", block_hashes_and_streams, METH_VARARGS,
     "block_hashes_and_streams(data, salt, out, state, other, other_state): the same; advance the\n"
     "SHA-256 state (32 bytes, big-endian words) over data, and other_state over other."},
    {"compress", compress, METH_VARARGS,
     "compress(data, state): advance a SHA-256 state over data, a multiple of 64 bytes."},
    {"plain_block_hashes", plain_block_hashes, METH_VARARGS, "block_hashes in plain C."},
    {"plain_block_hashes_and_streams", plain_block_hashes_and_streams, METH_VARARGS,
     "block_hashes_and_streams in plain C."},
    {"plain_compress", plain_compress_stream, METH_VARARGS, "compress in plain C."},
    {NULL, NULL, 0, NULL},
};

static int execute(PyObject *module)
{
#ifdef FAST
    if (has_sha()) {
        chosen = (struct form){FAST, FAST_STREAM};
        chosen_name = FAST_NAME;
    }
#endif
    return PyModule_AddStringConstant(module, "IMPLEMENTATION", chosen_name);
}

static PyModuleDef_Slot slots[] = {{Py_mod_exec, execute}, {0, NULL}};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "workers._native._blocks",
    .m_doc = "SHA-256 over runs of 512-byte blocks.",
    .m_methods = methods,
    .m_slots = slots,
};

PyMODINIT_FUNC PyInit__blocks(void)
{
    return PyModuleDef_Init(&definition);
}
