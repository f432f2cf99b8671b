// Rows of 16-bit numbers as rows of 8-bit ones (e4m3: four bits of exponent, three of mantissa, at most 448), each with its own scale, the
// row's largest magnitude over 448: number = byte · scale.

struct alignas(8) B8 { u32 a[2]; };  // eight 8-bit numbers

#if defined(EMULATED) || __CUDA_ARCH__ >= 890  // the least that converts to them
#if !defined(EMULATED)
__device__ __forceinline__ u32 pairOfBytes(float l, float h)
{
    unsigned short r;
    asm("cvt.rn.satfinite.e4m3x2.f32 %0,%1,%2;" : "=h"(r) : "f"(h), "f"(l));
    return r;
}
#endif

// The largest of all threads' numbers, none negative, given to every thread.
__device__ __forceinline__ float blockMax(float m)
{
    __shared__ float parts[33];
    int t = threadIdx.x;
    for (int o = 16; o; o >>= 1) m = fmaxf(m, __shfl_xor_sync(~0u, m, o));
    __syncthreads();
    if ((t & 31) == 0) parts[t >> 5] = m;
    __syncthreads();
    if (t < 32)
    {
        m = t < (int)blockDim.x / 32 ? parts[t] : 0;
        for (int o = 16; o; o >>= 1) m = fmaxf(m, __shfl_xor_sync(~0u, m, o));
        if (t == 0) parts[32] = m;
    }
    __syncthreads();
    return parts[32];
}

// Grid: rows. The second reading is from cache. A row of zeros has scale 1; a NaN or an infinity makes the row NaN.
extern "C" __global__ void quantize_rows(const V8 *x, B8 *q, float *scales, int d8)
{
    const V8 *row = x + (size_t)blockIdx.x * d8;
    float v[8], largest = 0, spoiled = 0;
    for (int i = threadIdx.x; i < d8; i += blockDim.x)
    {
        unpack(row[i], v);
        EACH8 { largest = fmaxf(largest, fabsf(v[k])); spoiled += v[k] * 0; }  // fmaxf drops NaN
    }
    largest = blockMax(largest) + blockSum(spoiled);
    float up = largest > 0 ? 448 / largest : 1;
    if (!(largest >= 0)) up = largest;
    if (threadIdx.x == 0) scales[blockIdx.x] = largest == 0 ? 1 : largest / 448;
    for (int i = threadIdx.x; i < d8; i += blockDim.x)
    {
        unpack(row[i], v);
        B8 o;
        for (int j = 0; j < 2; j++)
            o.a[j] = pairOfBytes(v[4 * j] * up, v[4 * j + 1] * up) | pairOfBytes(v[4 * j + 2] * up, v[4 * j + 3] * up) << 16;
        q[(size_t)blockIdx.x * d8 + i] = o;
    }
}
#endif
