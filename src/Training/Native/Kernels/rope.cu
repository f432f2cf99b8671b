// Rotates, in place, the first `heads` heads of rows of `row8` V8s. cos, sin [P, S] as the model's tables hold them: sin carries the sign
// of rotate-half, so y = x·cos + swapped(x)·sin. h8 = S/16, n = T·heads·h8.
extern "C" __global__ void rope(V8 *x, const V8 *cos, const V8 *sin, int row8, int heads, int h8, long long n)
{
    GRID_STRIDE(i, n)
    {
        int c = i % h8, head = i / h8 % heads;
        long long t = i / h8 / heads, j = t * row8 + head * 2 * h8 + c;
        float a[8], b[8], co[8], si[8];
        unpack(x[j], a);
        unpack(x[j + h8], b);
        unpack(cos[t * 2 * h8 + c], co);
        unpack(sin[t * 2 * h8 + h8 + c], si);  // of the second half: +sin
        EACH8 { float q = a[k] * co[k] - b[k] * si[k]; b[k] = b[k] * co[k] + a[k] * si[k]; a[k] = q; }
        x[j] = pack(a);
        x[j + h8] = pack(b);
    }
}

// Back again, from where attention left the gradients to where the map before it wants them: dx [T, heads + 2·kv, S] from dq [T, heads, S]
// and dk, dv [T, kv, S], the first two rotated back. n = T·(heads + 2·kv)·h8.
extern "C" __global__ void rope_backward(const V8 *dq, const V8 *dk, const V8 *dv, V8 *dx, const V8 *cos, const V8 *sin,
    int heads, int kv, int h8, long long n)
{
    int all = heads + 2 * kv;
    GRID_STRIDE(i, n)
    {
        int c = i % h8, head = i / h8 % all;
        long long t = i / h8 / all, j = (t * all + head) * 2 * h8 + c;
        const V8 *from = head < heads ? dq + (t * heads + head) * 2 * h8
            : head < heads + kv ? dk + (t * kv + head - heads) * 2 * h8 : dv + (t * kv + head - heads - kv) * 2 * h8;
        V8 first = from[c], second = from[c + h8];
        if (head < heads + kv)
        {
            float a[8], b[8], co[8], si[8];
            unpack(first, a);
            unpack(second, b);
            unpack(cos[t * 2 * h8 + c], co);
            unpack(sin[t * 2 * h8 + h8 + c], si);
            EACH8 { float q = a[k] * co[k] + b[k] * si[k]; b[k] = b[k] * co[k] - a[k] * si[k]; a[k] = q; }
            first = pack(a);
            second = pack(b);
        }
        dx[j] = first;
        dx[j + h8] = second;
    }
}
