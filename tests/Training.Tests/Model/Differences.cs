using System.Globalization;
using Phi3VCluster.Training.Checkpoints;
using TorchSharp;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Tests.Model;

/// <summary>Compares tensors with a reference case and remembers everything that is too far off, and what is farthest.</summary>
internal sealed class Differences(SafeTensorsFile expected)
{
    private readonly List<string> _tooLarge = [];
    private (string Name, double Part, double Value) _largest = ("nothing compared", -1, 0);

    /// <summary>Largest absolute difference.</summary>
    public void Absolute(string name, Tensor actual, double tolerance)
    {
        using var scope = NewDisposeScope();
        using var reference = expected.View(name);
        Assert.Equal(reference.shape, actual.shape);
        Add(name, (actual - reference).abs().max().item<float>(), tolerance);
    }

    /// <summary>Norm of the difference, relative to the reference's norm.</summary>
    public void RelativeNorm(string name, Tensor actual, double tolerance)
    {
        using var scope = NewDisposeScope();
        using var reference = expected.View(name);
        Assert.Equal(reference.shape, actual.shape);
        // The keys' bias has no gradient in exact arithmetic (softmax does not see it): what stands there is rounding, below this floor.
        Add(name, (actual - reference).norm().item<float>() / (reference.norm().item<float>() + 1e-3), tolerance);
    }

    public void Add(string name, double difference, double tolerance)
    {
        if (!(difference <= tolerance)) _tooLarge.Add($"{name}: {difference:g3} > {tolerance:g3}");
        if (difference / tolerance > _largest.Part) _largest = (name, difference / tolerance, difference);
    }

    public void Report(string what)
    {
        TestContext.Current.TestOutputHelper?.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"{what}: farthest off {_largest.Name}, {_largest.Value:g3} ({_largest.Part:p0} of what is allowed)"));
        Assert.True(_tooLarge.Count == 0, $"{what}: {string.Join("; ", _tooLarge)}");
    }
}
