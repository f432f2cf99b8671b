// CUDA's words in C++20, so that the kernels' own source runs on a CPU: a thread for each thread of a block, block after block.
#include <barrier>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#define __device__
#define __global__
#define __forceinline__ inline
#define __shared__ static  // one block at a time: its threads share what is static
#define __constant__ static const

struct Index { int x; };
static thread_local Index threadIdx, blockIdx;
static Index blockDim, gridDim;

static std::unique_ptr<std::barrier<>> blockBarrier;
static std::vector<std::unique_ptr<std::barrier<>>> warpBarriers;
static float lanes[1024];

static void __syncthreads() { blockBarrier->arrive_and_wait(); }

static float __shfl_xor_sync(unsigned, float value, int other)
{
    auto &warp = *warpBarriers[threadIdx.x / 32];
    lanes[threadIdx.x] = value;
    warp.arrive_and_wait();
    float read = lanes[threadIdx.x ^ other];
    warp.arrive_and_wait();
    return read;
}

static float rsqrtf(float x) { return 1 / std::sqrt(x); }
#define __expf std::exp  // the C library has a function of that name
static float __fadd_rn(float a, float b) { return a + b; }
static float __fmul_rn(float a, float b) { return a * b; }

// bf16, rounded to nearest even as cvt.rn does.
static float low(uint32_t v) { v <<= 16; float f; std::memcpy(&f, &v, 4); return f; }
static float high(uint32_t v) { v &= 0xffff0000u; float f; std::memcpy(&f, &v, 4); return f; }
static uint32_t rounded(float f) { uint32_t v; std::memcpy(&v, &f, 4); return (v + 0x7fff + (v >> 16 & 1)) >> 16; }
static uint32_t pair(float l, float h) { return rounded(h) << 16 | rounded(l); }

// e4m3, rounded to nearest even and kept within ±448 as cvt.rn.satfinite does.
static uint32_t byteOf(float f)
{
    uint32_t sign = std::signbit(f) ? 0x80 : 0;
    if (std::isnan(f)) return sign | 0x7f;
    float size = std::min(std::fabs(f), 448.0f);
    int exponent = size > 0 ? std::max(std::ilogb(size), -6) : -6;
    int steps = (int)std::nearbyint(std::ldexp(size, 3 - exponent)); // 8 a power of two
    if (steps == 16) { steps = 8; exponent++; }
    return sign | (steps < 8 ? steps : (exponent + 7) << 3 | (steps - 8));
}
static uint32_t pairOfBytes(float l, float h) { return byteOf(h) << 8 | byteOf(l); }

// As cuLaunchKernel takes them: one 8-byte slot a parameter.
using Kernel = void (*)(const uint64_t *);
static std::map<std::string, Kernel> kernels;

template <auto Function> struct Packed;
template <class... A, void (*Function)(A...)> struct Packed<Function>
{
    template <size_t... I> static void call(const uint64_t *slots, std::index_sequence<I...>) { Function(*(const A *)(slots + I)...); }
    static void run(const uint64_t *slots) { call(slots, std::index_sequence_for<A...>()); }
};

#define KERNEL(name) static bool has_##name = (kernels[#name] = Packed<&name>::run, true);

extern "C" int emulate(const char *name, int blocks, int threads, const uint64_t *slots)
{
    auto kernel = kernels.find(name);
    if (kernel == kernels.end()) return 1;
    blockDim = {threads};
    gridDim = {blocks};
    blockBarrier = std::make_unique<std::barrier<>>(threads);
    warpBarriers.clear();
    for (int first = 0; first < threads; first += 32) warpBarriers.push_back(std::make_unique<std::barrier<>>(std::min(32, threads - first)));
    for (int block = 0; block < blocks; block++)
    {
        std::vector<std::thread> all;
        for (int thread = 0; thread < threads; thread++)
            all.emplace_back([=] { threadIdx = {thread}; blockIdx = {block}; kernel->second(slots); });
        for (auto &one : all) one.join();
    }
    return 0;
}
