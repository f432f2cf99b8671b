// p −= lr·decay·p; m, v as AdamW; p −= lr/c1 · m/(√v·rc2 + eps), c1 = 1 − β₁ᵗ, rc2 = 1/√(1 − β₂ᵗ). Gradients count times g_scale.
// w (or null) gets p in 16 bits. n4 = numbers/4.
extern "C" __global__ void adamw(F4 *p, const F4 *g, F4 *m, F4 *v, u32 *w, float g_scale, float lr, float decay, float b1, float b2,
    float eps, float c1, float rc2, long long n4)
{
    GRID_STRIDE(i, n4)
    {
        F4 P = p[i], G = g[i], M = m[i], W = v[i];
        for (int k = 0; k < 4; k++)
        {
            float d = G.a[k] * g_scale, x = P.a[k] - lr * decay * P.a[k];
            M.a[k] = b1 * M.a[k] + (1 - b1) * d;
            W.a[k] = b2 * W.a[k] + (1 - b2) * d * d;
            P.a[k] = x - lr / c1 * M.a[k] / (sqrtf(W.a[k]) * rc2 + eps);
        }
        p[i] = P;
        m[i] = M;
        v[i] = W;
        if (w) { w[2 * i] = pair(P.a[0], P.a[1]); w[2 * i + 1] = pair(P.a[2], P.a[3]); }
    }
}

// parts[block] = the sum of g², in a fixed order: the same grid gives the same bits. Blocks of 256; n4 = numbers/4.
extern "C" __global__ void square_sums(const F4 *g, double *parts, long long n4)
{
    double s = 0;
    GRID_STRIDE(i, n4)
    {
        F4 G = g[i];
        for (int k = 0; k < 4; k++) s += (double)G.a[k] * G.a[k];
    }
    __shared__ double q[256];
    int t = threadIdx.x;
    q[t] = s;
    __syncthreads();
    for (int o = 128; o; o >>= 1)
    {
        if (t < o) q[t] += q[t + o];
        __syncthreads();
    }
    if (t == 0) parts[blockIdx.x] = q[0];
}
