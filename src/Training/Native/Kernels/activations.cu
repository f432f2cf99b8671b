// a = silu(gate)·up. gate_up [T, 2F], a [T, F], f8 = F/8, n = T·f8.
extern "C" __global__ void swiglu(const V8 *gate_up, V8 *a, int f8, long long n)
{
    GRID_STRIDE(i, n)
    {
        long long j = i / f8 * 2 * f8 + i % f8;
        float g[8], u[8];
        unpack(gate_up[j], g);
        unpack(gate_up[j + f8], u);
        EACH8 g[k] = g[k] / (1 + __expf(-g[k])) * u[k];
        a[i] = pack(g);
    }
}

// d_gate_up may be gate_up itself; a (or null) gets silu(gate)·up again, for the gradient of the map that follows.
extern "C" __global__ void swiglu_backward(const V8 *gate_up, const V8 *da, V8 *d_gate_up, V8 *a, int f8, long long n)
{
    GRID_STRIDE(i, n)
    {
        long long j = i / f8 * 2 * f8 + i % f8;
        float g[8], u[8], d[8], y[8];
        unpack(gate_up[j], g);
        unpack(gate_up[j + f8], u);
        unpack(da[i], d);
        EACH8
        {
            float s = 1 / (1 + __expf(-g[k])), silu = g[k] * s;
            y[k] = silu * u[k];
            u[k] *= d[k] * (s + silu * (1 - s));
            g[k] = d[k] * silu;
        }
        if (a) a[i] = pack(y);
        d_gate_up[j] = pack(u);
        d_gate_up[j + f8] = pack(g);
    }
}

// y = x·σ(1.702x), CLIP's gelu.
extern "C" __global__ void quick_gelu(const V8 *x, V8 *y, long long n)
{
    GRID_STRIDE(i, n)
    {
        float v[8];
        unpack(x[i], v);
        EACH8 v[k] = v[k] / (1 + __expf(-1.702f * v[k]));
        y[i] = pack(v);
    }
}

// dx = dy·σ·(1 + 1.702x(1 − σ)); dx may be dy.
extern "C" __global__ void quick_gelu_backward(const V8 *x, const V8 *dy, V8 *dx, long long n)
{
    GRID_STRIDE(i, n)
    {
        float v[8], d[8];
        unpack(x[i], v);
        unpack(dy[i], d);
        EACH8 { float s = 1 / (1 + __expf(-1.702f * v[k])); d[k] *= s * (1 + 1.702f * v[k] * (1 - s)); }
        dx[i] = pack(d);
    }
}
