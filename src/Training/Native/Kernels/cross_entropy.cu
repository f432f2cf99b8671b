// One block a row. loss[row] = lse − x[target]; the logits become (softmax − onehot)·scale[row]. v8 = V/8.
extern "C" __global__ void cross_entropy(V8 *x, const long long *target, const float *scale, float *loss, int v8)
{
    V8 *r = x + (size_t)blockIdx.x * v8;
    float m = -1e30f, s = 0, f[8];
    __shared__ float maxima[32];
    for (int i = threadIdx.x; i < v8; i += blockDim.x)
    {
        unpack(r[i], f);
        float c = f[0];
        for (int k = 1; k < 8; k++) c = fmaxf(c, f[k]);
        if (c > m) { s *= __expf(m - c); m = c; }
        EACH8 s += __expf(f[k] - m);
    }
    float M = m;
    for (int o = 16; o; o >>= 1) M = fmaxf(M, __shfl_xor_sync(~0u, M, o));
    if ((threadIdx.x & 31) == 0) maxima[threadIdx.x >> 5] = M;
    __syncthreads();
    M = maxima[0];
    for (int k = 1; k < (int)blockDim.x / 32; k++) M = fmaxf(M, maxima[k]);
    float Z = blockSum(s * __expf(m - M)), inverse = 1 / Z, sc = scale[blockIdx.x];
    int t = (int)target[blockIdx.x];
    if (threadIdx.x == 0) { unpack(r[t / 8], f); EACH8 if (k == t % 8) loss[blockIdx.x] = M + logf(Z) - f[k]; }
    __syncthreads();
    for (int i = threadIdx.x; i < v8; i += blockDim.x)
    {
        unpack(r[i], f);
        EACH8 f[k] = (__expf(f[k] - M) * inverse - (i * 8 + k == t)) * sc;
        r[i] = pack(f);
    }
}
