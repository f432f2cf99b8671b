__constant__ float NF4[16] = {
    -1.f, -0.6961928009986877f, -0.5250730514526367f, -0.39491748809814453f, -0.28444138169288635f, -0.18477343022823334f,
    -0.09105003625154495f, 0.f, 0.07958029955625534f, 0.16093020141124725f, 0.24611230194568634f, 0.33791524171829224f,
    0.44070982933044434f, 0.5626170039176941f, 0.7229568362236023f, 1.f};

// bitsandbytes' layout: high nibble first, 64 numbers a block. scale8 and code null: absmax is a float a block; else a block's is
// code[scale8]·absmax[block/256] + *offset. n8 = numbers/8.
extern "C" __global__ void nf4(
    const u32 *q, const u8 *scale8, const float *code, const float *absmax, const float *offset, V8 *out, long long n8)
{
    __shared__ float table[16];
    if (threadIdx.x < 16) table[threadIdx.x] = NF4[threadIdx.x];
    __syncthreads();
    float shift = scale8 ? *offset : 0;
    GRID_STRIDE(i, n8)
    {
        long long b = i >> 3;
        float s = scale8 ? __fadd_rn(__fmul_rn(code[scale8[b]], absmax[b >> 8]), shift) : absmax[b], f[8];
        u32 w = q[i];
        for (int k = 0; k < 4; k++) { f[2 * k] = table[w >> (8 * k + 4) & 15] * s; f[2 * k + 1] = table[w >> (8 * k) & 15] * s; }
        out[i] = pack(f);
    }
}
