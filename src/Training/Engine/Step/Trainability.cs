using Phi3VCluster.Training.Collectives;
using Phi3VCluster.Training.Methods;
using Phi3VCluster.Training.Optim;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Engine;

/// <summary>
/// Proves, at the first step, that what the method declares trainable is trained: every group must get a gradient, and must change
/// in the first step whose learning rate is above 0. Groups that only images train are judged by the first step that has some.
/// A declaration alone proves nothing: see docs/numerics.md on the recipe's frozen runs.
/// </summary>
/// <param name="sums">Adds what the ranks measured; null where each has measured all.</param>
internal sealed class Trainability(
    TrainingPlan plan, FlatParameters parameters, GradientStore gradients, TrainingState state, ICollective? sums, RunFolder folder)
{
    private readonly IReadOnlyList<TrainedGroup> _groups = state.Groups;

    private readonly Dictionary<string, int> _groupOf =
        TrainedGroup.Cut(plan).SelectMany((group, i) => group.Select(t => (t.Tensor.Name, i))).ToDictionary();

    /// <summary>Whether every group has been seen to learn.</summary>
    public bool IsProven => _groups.All(group => group.IsProven);

    /// <summary>Has the optimizer step, and looks at what it is given and at what it does.</summary>
    /// <exception cref="RankFault">A group got no gradient, or did not change, or is no longer finite; the same on all ranks.</exception>
    public void Step(AdamW optimizer, double rate, long step, bool hadImages, double gradientScale = 1)
    {
        var judged = _groups.Where(group => !group.IsProven && (hadImages || !group.NeedsImages)).ToList();
        var norms = Norms(OwnSquares());
        foreach (var group in judged.Where(group => group.GradientNorm is null)) group.GradientNorm = norms[group.Index] * gradientScale;
        Refuse(judged.Where(group => group.GradientNorm == 0), $"got no gradient in step {step}");

        if (rate == 0) optimizer.Step(rate, hadImages, gradientScale); // the first of a warm-up
        else
        {
            var changes = Norms(SumByGroup(optimizer.StepMeasured(rate, hadImages, gradientScale)));
            foreach (var group in judged) (group.WeightChange, group.Step) = (changes[group.Index], step);
            Refuse(judged.Where(group => group.WeightChange == 0), $"did not change in step {step}");
            var broken = string.Join(", ", judged.Where(group => !double.IsFinite(group.WeightChange!.Value)).Select(group => group.Name));
            if (broken.Length > 0)
                throw new RankFault($"step {step}: weights are not finite, or far too large, in {broken}; "
                    + "lower optimizer.learningRate, or look for NaN in model.path.");
        }
        folder.WriteTrainability(_groups);
    }

    /// <summary>After an epoch, every sample was seen: where all groups need images and none had any, nothing was trained.</summary>
    /// <exception cref="RankFault">The same on all ranks.</exception>
    public void EpochDone()
    {
        if (_groups.All(group => group.NeedsImages && !group.IsProven)) Refuse(_groups, "no sample of the epoch has an image");
    }

    private static void Refuse(IEnumerable<TrainedGroup> idle, string what)
    {
        var names = string.Join(", ", idle.Select(group => $"{group.Name} ({group.Tensors} tensors)"));
        if (names.Length > 0)
            throw new RankFault($"declared trainable, but {what}: {names}; "
                + "choose a method.kind or method.targets that trains what the data can teach.");
    }

    private double[] OwnSquares()
    {
        var squares = new Dictionary<string, double>();
        foreach (var (entry, range) in OwnRanges.Of(parameters, gradients.Layout, _ => true, merged: false))
        {
            using var part = gradients.Own(range.Piece, range.Flat);
            squares[entry.Tensor.Name] = squares.GetValueOrDefault(entry.Tensor.Name) + SquareSums.Of(part);
        }
        return SumByGroup(squares);
    }

    private double[] SumByGroup(IReadOnlyDictionary<string, double> byTensor)
    {
        var sums = new double[_groups.Count];
        foreach (var (name, value) in byTensor) sums[_groupOf[name]] += value;
        return sums;
    }

    /// <summary>
    /// Each group's norm over all ranks. Where every rank has all sums, none asks another: nothing may come between vote and commit.
    /// </summary>
    private double[] Norms(double[] squares)
    {
        if (sums is null) return Array.ConvertAll(squares, square => Math.Sqrt((float)square)); // as wide as the sums below
        using var shared = tensor(Array.ConvertAll(squares, square => (float)square));
        sums.AllReduce(shared);
        return Array.ConvertAll(shared.data<float>().ToArray(), sum => Math.Sqrt(sum));
    }
}
