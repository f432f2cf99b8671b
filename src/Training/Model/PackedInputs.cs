namespace Phi3VCluster.Training.Model;

/// <summary>The inputs of one pass that have something to learn from, as one pack, and the way back to the caller's order.</summary>
internal sealed class PackedInputs
{
    private readonly IReadOnlyList<int> _places;

    private PackedInputs(IReadOnlyList<ModelInput> inputs, IReadOnlyList<(int Place, long[] Rows)> supervised, Func<int, int> roundedUp)
    {
        _places = [.. supervised.Select(one => one.Place)];
        Inputs = [.. _places.Select(place => inputs[place])];
        Pack = new(supervised.Select(one => (inputs[one.Place].Ids, one.Rows)), roundedUp);
        Labels = [.. supervised.SelectMany(one => inputs[one.Place].LabelsAfter(one.Rows))];
    }

    /// <summary>Those with a supervised position, in the caller's order.</summary>
    public IReadOnlyList<ModelInput> Inputs { get; }

    public SequencePack Pack { get; }

    /// <summary>What the pack's rows are to predict.</summary>
    public long[] Labels { get; }

    public IReadOnlyList<ulong>? DropoutSeeds => Seeds(Inputs);

    /// <param name="roundedUp">See <see cref="SequencePack"/>.</param>
    /// <exception cref="ArgumentException">An input has no labels, or not one for each id.</exception>
    public static PackedInputs Of(IReadOnlyList<ModelInput> inputs, Func<int, int> roundedUp)
    {
        var rows = inputs.Select((input, place) => (place, Rows: input.SupervisedRows()));
        return new(inputs, [.. rows.Where(one => one.Rows.Length > 0)], roundedUp);
    }

    /// <summary>One an input; null where any has none: a pass drops for all or for none.</summary>
    public static IReadOnlyList<ulong>? Seeds(IReadOnlyList<ModelInput> inputs) =>
        inputs.All(input => input.DropoutSeed is not null) ? [.. inputs.Select(input => input.DropoutSeed!.Value)] : null;

    /// <summary>What each row's loss counts: its sequence's weight over the sequence's number of rows.</summary>
    public float[] RowWeights(IReadOnlyList<double> weights) =>
    [
        .. Pack.Segments.SelectMany((segment, i) =>
            Enumerable.Repeat((float)(weights[_places[i]] / segment.Rows.Length), segment.Rows.Length)),
    ];

    /// <summary>The mean of each input's row losses, 0 for those left out.</summary>
    public double[] Means(float[] losses, int inputCount)
    {
        var means = new double[inputCount];
        foreach (var (segment, i) in Pack.Segments.Select((segment, i) => (segment, i)))
            means[_places[i]] = losses.AsSpan((int)segment.FirstRow, segment.Rows.Length).ToArray().Average(loss => (double)loss);
        return means;
    }
}
