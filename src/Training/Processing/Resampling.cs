namespace Phi3VCluster.Training.Processing;

/// <summary>
/// Weights of Pillow's bilinear resize along one axis (Resample.c): a triangle, widened when shrinking, in 22-bit fixed point.
/// Output i is the sum over j of <c>Weights[i · Taps + j] · input[First[i] + j]</c> for j below <c>Count[i]</c>.
/// </summary>
internal sealed class Resampling
{
    public const int PrecisionBits = 32 - 8 - 2;

    public Resampling(int inputSize, int outputSize)
    {
        var scale = (double)inputSize / outputSize;
        var support = Math.Max(scale, 1);
        Taps = (int)Math.Ceiling(support) * 2 + 1;
        (First, Count, Weights) = (new int[outputSize], new int[outputSize], new int[outputSize * Taps]);
        var row = new double[Taps];
        for (var i = 0; i < outputSize; i++)
        {
            var centre = (i + 0.5) * scale;
            var first = Math.Max((int)(centre - support + 0.5), 0);
            var count = Math.Min((int)(centre + support + 0.5), inputSize) - first;
            // The multiplication by 1/support, not a division, is what Pillow does: the last bit depends on it.
            for (var j = 0; j < count; j++) row[j] = Math.Max(0, 1 - Math.Abs((j + first - centre + 0.5) * (1 / support)));
            var sum = row.AsSpan(0, count).ToArray().Aggregate(0.0, (total, weight) => total + weight);
            for (var j = 0; j < count; j++)
                Weights[i * Taps + j] = (int)(0.5 + (sum == 0 ? row[j] : row[j] / sum) * (1 << PrecisionBits));
            (First[i], Count[i]) = (first, count);
        }
    }

    public int Taps { get; }
    public int[] First { get; }
    public int[] Count { get; }
    public int[] Weights { get; }
}
