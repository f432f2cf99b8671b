// h = x (+ residual); y = (h − mean) / deviation · w + b. Grid: rows; block: D/8.
extern "C" __global__ void layer_norm(
    const V8 *x, const V8 *residual, const V8 *w, const V8 *b, V8 *h, V8 *y, float *mean, float *rstd, int d8, float eps)
{
    size_t i = (size_t)blockIdx.x * d8 + threadIdx.x;
    float v[8], u[8], s = 0;
    unpack(x[i], v);
    if (residual)
    {
        unpack(residual[i], u);
        EACH8 v[k] += u[k];
        V8 sum = pack(v);
        h[i] = sum;
        unpack(sum, v);
    }
    EACH8 s += v[k];
    float m = blockSum(s) / (8 * d8);
    s = 0;
    EACH8 { v[k] -= m; s += v[k] * v[k]; }
    float r = rsqrtf(blockSum(s) / (8 * d8) + eps);
    if (threadIdx.x == 0) { mean[blockIdx.x] = m; rstd[blockIdx.x] = r; }
    unpack(w[threadIdx.x], u);
    EACH8 v[k] *= r * u[k];
    unpack(b[threadIdx.x], u);
    EACH8 v[k] += u[k];
    y[i] = pack(v);
}

// With g = dy·w and x̂ = (h − mean)·rstd: dx = rstd·(g − mean(g) − x̂·mean(g·x̂)) (+ dresidual).
// parts [2, grid, D]: each block's sums of dy·x̂, then of dy; or null.
extern "C" __global__ void layer_norm_backward(const V8 *dy, const V8 *h, const V8 *w, const float *mean, const float *rstd,
    const V8 *dresidual, V8 *dx, F4 *parts, int rows, int d8)
{
    float wv[8], dw[8] = {}, db[8] = {}, g[8], x[8], d[8];
    unpack(w[threadIdx.x], wv);
    for (int row = blockIdx.x; row < rows; row += gridDim.x)
    {
        size_t i = (size_t)row * d8 + threadIdx.x;
        float m = mean[row], r = rstd[row], sum = 0, dot = 0;
        unpack(dy[i], g);
        unpack(h[i], x);
        EACH8
        {
            x[k] = (x[k] - m) * r;
            dw[k] += g[k] * x[k];
            db[k] += g[k];
            g[k] *= wv[k];
            sum += g[k];
            dot += g[k] * x[k];
        }
        sum = blockSum(sum) / (8 * d8);
        dot = blockSum(dot) / (8 * d8);
        EACH8 d[k] = r * (g[k] - sum - x[k] * dot);
        if (dresidual) { unpack(dresidual[i], x); EACH8 d[k] += x[k]; }
        dx[i] = pack(d);
    }
    if (!parts) return;
    for (int half = 0; half < 2; half++)
    {
        F4 o, p;
        for (int j = 0; j < 4; j++) { o.a[j] = dw[4 * half + j]; p.a[j] = db[4 * half + j]; }
        size_t i = ((size_t)blockIdx.x * d8 + threadIdx.x) * 2 + half;
        parts[i] = o;
        parts[(size_t)gridDim.x * d8 * 2 + i] = p;
    }
}
