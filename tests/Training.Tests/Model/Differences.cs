using System.Globalization;
using Phi3VCluster.Training.Checkpoints;
using TorchSharp;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Tests.Model;

/// <summary>Compares tensors with a reference case and remembers everything that is too far off, and what is farthest.</summary>
internal sealed class Differences
{
    private readonly List<string> _tooLarge = [];
    private (string Name, double Part, double Value) _largest = ("nothing compared", -1, 0);

    /// <summary>Largest absolute difference.</summary>
    public void Absolute(string name, Tensor actual, Tensor expected, double tolerance)
    {
        using var scope = NewDisposeScope();
        if (HasShape(name, actual, expected)) Add(name, (actual - expected).abs().max().item<float>(), tolerance);
    }

    /// <summary>Absolute difference from the tensor of that name.</summary>
    public void Absolute(string name, Tensor actual, SafeTensorsFile expected, double tolerance)
    {
        using var reference = expected.View(name);
        Absolute(name, actual, reference, tolerance);
    }

    /// <summary>Norm of the difference, relative to the expected tensor's norm.</summary>
    /// <param name="floor">Counts as the norm of anything smaller.</param>
    public void RelativeNorm(string name, Tensor actual, Tensor expected, double tolerance, double floor)
    {
        using var scope = NewDisposeScope();
        if (HasShape(name, actual, expected))
            Add(name, (actual - expected).norm().item<float>() / Math.Max(expected.norm().item<float>(), floor), tolerance);
    }

    public void Add(string name, double difference, double tolerance)
    {
        if (!(difference <= tolerance)) _tooLarge.Add($"{name}: {difference:g3} > {tolerance:g3}");
        if (!(difference / tolerance <= _largest.Part)) _largest = (name, difference / tolerance, difference);
    }

    /// <summary>Something that has no tolerance: ids, names, text.</summary>
    public void Same(string name, bool isSame)
    {
        if (!isSame) _tooLarge.Add($"{name}: not the same");
    }

    /// <summary>Says in one line what is farthest off, and fails with everything that is too far.</summary>
    public void Report(string what)
    {
        TestContext.Current.TestOutputHelper?.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"{what}: farthest off is {_largest.Name}, {_largest.Value:g3} ({_largest.Part:p1} of what is allowed)"));
        Assert.True(_tooLarge.Count == 0, $"{what}: {string.Join("; ", _tooLarge)}");
    }

    private bool HasShape(string name, Tensor actual, Tensor expected)
    {
        var same = actual.shape.SequenceEqual(expected.shape);
        if (!same) _tooLarge.Add($"{name}: [{string.Join(", ", actual.shape)}] and not [{string.Join(", ", expected.shape)}]");
        return same;
    }
}
