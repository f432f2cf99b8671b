// What all kernels share. Nothing is included: NVRTC needs no headers for this.
// 16-bit numbers travel eight at a time (16 bytes); arithmetic is in float32.

typedef unsigned int u32;
typedef unsigned char u8;

struct alignas(16) V8 { u32 a[4]; };    // eight 16-bit numbers
struct alignas(16) F4 { float a[4]; };  // four 32-bit numbers

#define EACH8 _Pragma("unroll") for (int k = 0; k < 8; k++)

#if defined(EMULATED)  // compiled as C++ for the CPU by a test, whose header has bf16 by hand
#elif defined(FP16)    // sm_70, sm_75, or a model in float16
__device__ __forceinline__ float low(u32 v)
{
    float f;
    asm("{.reg .b16 l,h;mov.b32 {l,h},%1;cvt.f32.f16 %0,l;}" : "=f"(f) : "r"(v));
    return f;
}
__device__ __forceinline__ float high(u32 v)
{
    float f;
    asm("{.reg .b16 l,h;mov.b32 {l,h},%1;cvt.f32.f16 %0,h;}" : "=f"(f) : "r"(v));
    return f;
}
__device__ __forceinline__ u32 pair(float l, float h)
{
    u32 r;
    asm("{.reg .b16 l,h;cvt.rn.f16.f32 l,%1;cvt.rn.f16.f32 h,%2;mov.b32 %0,{l,h};}" : "=r"(r) : "f"(l), "f"(h));
    return r;
}
#else                  // bf16, sm_80 and later
__device__ __forceinline__ float low(u32 v) { return __uint_as_float(v << 16); }
__device__ __forceinline__ float high(u32 v) { return __uint_as_float(v & 0xffff0000u); }
__device__ __forceinline__ u32 pair(float l, float h) { u32 r; asm("cvt.rn.bf16x2.f32 %0,%1,%2;" : "=r"(r) : "f"(h), "f"(l)); return r; }
#endif

__device__ __forceinline__ void unpack(V8 v, float *f)
{
#pragma unroll
    for (int i = 0; i < 4; i++) { f[2 * i] = low(v.a[i]); f[2 * i + 1] = high(v.a[i]); }
}

__device__ __forceinline__ V8 pack(const float *f)
{
    V8 v;
#pragma unroll
    for (int i = 0; i < 4; i++) v.a[i] = pair(f[2 * i], f[2 * i + 1]);
    return v;
}

// The sum of all threads' numbers, given to every thread. blockDim.x is a multiple of 32.
__device__ __forceinline__ float blockSum(float s)
{
    __shared__ float parts[33];
    int t = threadIdx.x;
    for (int o = 16; o; o >>= 1) s += __shfl_xor_sync(~0u, s, o);
    __syncthreads();
    if ((t & 31) == 0) parts[t >> 5] = s;
    __syncthreads();
    if (t < 32)
    {
        s = t < (int)blockDim.x / 32 ? parts[t] : 0;
        for (int o = 16; o; o >>= 1) s += __shfl_xor_sync(~0u, s, o);
        if (t == 0) parts[32] = s;
    }
    __syncthreads();
    return parts[32];
}

#define GRID_STRIDE(i, n) \
    for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; i < n; i += (long long)gridDim.x * blockDim.x)
