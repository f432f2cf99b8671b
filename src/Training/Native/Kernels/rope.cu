// Rotates, in place, the first `heads` heads of rows of `row8` V8s. cos, sin [P, S] as the model's tables hold them: sin carries the sign of
// rotate-half, so y = x·cos + swapped(x)·sin. sign −1 turns back. h8 = S/16, n = T·heads·h8.
extern "C" __global__ void rope(V8 *x, const V8 *cos, const V8 *sin, int row8, int heads, int h8, float sign, long long n)
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
        EACH8 { float s = sign * si[k], q = a[k] * co[k] - b[k] * s; b[k] = b[k] * co[k] + a[k] * s; a[k] = q; }
        x[j] = pack(a);
        x[j + h8] = pack(b);
    }
}
