namespace Phi3VCluster.Samples;

/// <summary>One weight of a checkpoint and how it starts.</summary>
/// <param name="Deviation">Standard deviation of its normal numbers; 0 makes all of them equal to <paramref name="Mean"/>.</param>
/// <param name="ZeroMeanOver">When positive, every run of so many numbers has its own mean subtracted.</param>
internal sealed record TinyTensor(string Name, int[] Shape, double Deviation, double Mean = 0, int ZeroMeanOver = 0)
{
    public int Count => Shape.Aggregate(1, (product, size) => product * size);

    /// <summary>Depends on the seed and the tensor's name only, so that adding a tensor leaves the others as they were.</summary>
    public float[] Values(int seed)
    {
        var random = new RandomStream(seed, Name);
        var values = new double[Count];
        for (var i = 0; i < values.Length; i++)
            values[i] = Deviation == 0 ? Mean : Mean + Deviation * random.Normal();
        for (var start = 0; ZeroMeanOver > 0 && start < values.Length; start += ZeroMeanOver)
        {
            var run = values.AsSpan(start, ZeroMeanOver);
            var mean = 0.0;
            foreach (var value in run) mean += value / ZeroMeanOver;
            foreach (ref var value in run) value -= mean;
        }
        return Array.ConvertAll(values, value => (float)value);
    }
}
