using Phi3VCluster.Spec;
using Phi3VCluster.Training.Optim;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Tests.Optim;

/// <summary>What a rank of a training run has of the optimizer, without the other ranks: its sums are what it is given.</summary>
internal sealed class OptimizerRank : IDisposable
{
    public OptimizerRank(
        IReadOnlyList<FlatEntry> entries, int rank, int worldSize, OptimizerSpec spec, bool scattered = false,
        ScalarType type = ScalarType.Float32)
    {
        Parameters = new FlatParameters(entries, CPU, type);
        using (var generator = new Generator(1))
        using (no_grad())
        using (var start = randn(Parameters.Count, generator: generator))
            Parameters.Values.copy_(start);
        Gradients = scattered
            ? new ScatteredGradients(
                Parameters, new([.. Parameters.Units().Select(unit => unit.Range)], rank, worldSize), (_, _) => DoneSum.Instance)
            : WholeGradients.Sharded(Parameters, ShardLayout.Whole(Parameters.Count, rank, worldSize), (_, _) => DoneSum.Instance);
        State = new OptimizerState(Parameters, Gradients.Layout);
        Optimizer = new AdamW(Parameters, Gradients, State, spec);
    }

    public FlatParameters Parameters { get; }
    public GradientStore Gradients { get; }
    public OptimizerState State { get; }
    public AdamW Optimizer { get; }

    /// <summary>The rank's own elements of a flat buffer, piece by piece.</summary>
    public float[] OwnOf(Tensor flat) =>
        [.. Gradients.Layout.Pieces.SelectMany(piece =>
            flat.narrow(0, piece.Flat.Offset, piece.Flat.Count).to_type(ScalarType.Float32).data<float>().ToArray())];

    public float[] OwnOf(double[] flat) =>
        [.. Gradients.Layout.Pieces
            .SelectMany(piece => flat.AsSpan((int)piece.Flat.Offset, (int)piece.Flat.Count).ToArray()).Select(x => (float)x)];

    /// <summary>A pass whose gradients are these, as backward leaves them: unit by unit from the last to the first.</summary>
    public void Pass(float[] gradients)
    {
        using var scope = NewDisposeScope();
        using var quiet = no_grad();
        using var flat = tensor(gradients);
        foreach (var unit in Parameters.Entries.GroupBy(entry => entry.Unit).Reverse())
        {
            foreach (var entry in unit)
            {
                var slice = Parameters.Slice(entry.Tensor.Name);
                Parameters[entry.Tensor.Name].grad!.add_(flat.narrow(0, slice.Offset, slice.Count).view(entry.Tensor.Shape));
            }
            Gradients.UnitDone(unit.Key);
        }
        Gradients.PassDone();
    }

    public void Step(float[] gradients, double learningRate, bool hadImages = true)
    {
        Gradients.Zero();
        Pass(gradients);
        Gradients.StepDone();
        Optimizer.Step(learningRate, hadImages);
    }

    public void Dispose()
    {
        Optimizer.Dispose();
        State.Dispose();
        Gradients.Dispose();
        Parameters.Dispose();
    }
}
