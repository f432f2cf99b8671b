using Phi3VCluster.Training.Optim;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Tests.Optim;

public sealed class FlatParametersTests
{
    private static readonly FlatEntry[] Entries =
    [
        new(new("first.weight", [2, 3]), true) { Unit = "first" }, new(new("first.bias", [2]), false) { Unit = "first" },
        new(new("last.weight", [4, 1]), true) { Unit = "last" },
    ];

    [Fact]
    public void A_leaf_reads_and_writes_the_flat_values()
    {
        using var parameters = new FlatParameters(Entries, CPU);
        using var scope = NewDisposeScope();
        using var quiet = no_grad();

        parameters.Values.copy_(arange(12));
        parameters["last.weight"].add_(100);

        Assert.Equal(5, parameters["first.weight"][1, 2].item<float>());
        Assert.Equal(111, parameters.Values[11].item<float>());
        Assert.True(parameters["first.weight"].requires_grad && parameters["first.weight"].is_leaf);
        Assert.Equal(new ShardRange(6, 2), parameters.Slice("first.bias"));
    }

    [Fact]
    public void Everything_outlives_the_scope_it_was_made_in()
    {
        FlatParameters parameters;
        using (NewDisposeScope()) parameters = new(Entries, CPU);

        using (parameters)
        using (NewDisposeScope()) Assert.Equal(0, parameters.Values.sum().item<float>());
    }

    [Fact]
    public void Units_tile_the_buffer()
    {
        using var parameters = new FlatParameters(Entries, CPU);

        Assert.Equal([("first", new ShardRange(0, 8)), ("last", new ShardRange(8, 4))], parameters.Units());
    }

    [Fact]
    public void Two_tensors_of_one_name_are_refused() =>
        Assert.Throws<ArgumentException>(() => new FlatParameters([Entries[0], Entries[0]], CPU));
}
