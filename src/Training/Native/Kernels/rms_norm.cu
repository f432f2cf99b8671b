// h = x (+ residual); y = h / rms(h) · w. Grid: rows; block: D/8.
extern "C" __global__ void rms_norm(
    const V8 *x, const V8 *residual, const V8 *w, V8 *h, V8 *y, float *rstd, int d8, float eps)
{
    size_t i = (size_t)blockIdx.x * d8 + threadIdx.x;
    float v[8], b[8], s = 0;
    unpack(x[i], v);
    if (residual)
    {
        unpack(residual[i], b);
        EACH8 v[k] += b[k];
        V8 sum = pack(v);
        h[i] = sum;
        unpack(sum, v);
    }
    EACH8 s += v[k] * v[k];
    float r = rsqrtf(blockSum(s) / (8 * d8) + eps);
    if (threadIdx.x == 0) rstd[blockIdx.x] = r;
    unpack(w[threadIdx.x], b);
    EACH8 v[k] *= r * b[k];
    y[i] = pack(v);
}

// With g = dy·w and x̂ = h·rstd: dx = rstd·(g − x̂·mean(g·x̂)) (+ dresidual). dw_parts [grid, D]: each block's sum of dy·x̂, or null.
extern "C" __global__ void rms_norm_backward(const V8 *dy, const V8 *h, const V8 *w, const float *rstd, const V8 *dresidual,
    V8 *dx, F4 *dw_parts, int rows, int d8)
{
    float wv[8], dw[8] = {}, g[8], x[8], d[8];
    unpack(w[threadIdx.x], wv);
    for (int row = blockIdx.x; row < rows; row += gridDim.x)
    {
        size_t i = (size_t)row * d8 + threadIdx.x;
        float r = rstd[row], s = 0;
        unpack(dy[i], g);
        unpack(h[i], x);
        EACH8 { x[k] *= r; dw[k] += g[k] * x[k]; g[k] *= wv[k]; s += g[k] * x[k]; }
        s = blockSum(s) / (8 * d8);
        EACH8 d[k] = r * (g[k] - x[k] * s);
        if (dresidual) { unpack(dresidual[i], x); EACH8 d[k] += x[k]; }
        dx[i] = pack(d);
    }
    if (!dw_parts) return;
    for (int half = 0; half < 2; half++)
    {
        F4 o;
        for (int j = 0; j < 4; j++) o.a[j] = dw[4 * half + j];
        dw_parts[((size_t)blockIdx.x * d8 + threadIdx.x) * 2 + half] = o;
    }
}

// out[n] (+)= the sum over rows of parts[row, n], in a fixed order.
extern "C" __global__ void column_sums(const float *parts, float *out, int rows, int n, int add)
{
    int c = blockIdx.x * blockDim.x + threadIdx.x;
    if (c >= n) return;
    float s = 0;
    for (int r = 0; r < rows; r++) s += parts[(size_t)r * n + c];
    out[c] = add ? out[c] + s : s;
}
