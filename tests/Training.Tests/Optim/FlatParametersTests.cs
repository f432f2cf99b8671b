using Phi3VCluster.Training.Native;
using Phi3VCluster.Training.Optim;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Tests.Optim;

public sealed class FlatParametersTests
{
    private static readonly FlatEntry[] Entries =
        [new(new("first.weight", [2, 3]), true), new(new("first.bias", [2]), false), new(new("last.weight", [4, 1]), true)];

    [Fact]
    public void Backward_adds_to_the_flat_gradients_where_the_tensor_lies()
    {
        using var parameters = new FlatParameters(Entries, CPU);
        using var scope = NewDisposeScope();

        for (var pass = 0; pass < 2; pass++) (parameters["first.bias"] * tensor(new[] { 3f, 5f })).sum().backward();

        Assert.Equal([0, 0, 0, 0, 0, 0, 6, 10, 0, 0, 0, 0], parameters.Gradients.data<float>().ToArray());
        Assert.Equal(new ShardRange(6, 2), parameters.Slice("first.bias"));
    }

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
    }

    [Fact]
    public void Zeroed_gradients_stay_where_they_are_and_are_added_to_again()
    {
        using var parameters = new FlatParameters(Entries, CPU);
        using var scope = NewDisposeScope();
        parameters["last.weight"].sum().backward();
        var address = TensorMemory.Pointer(parameters["last.weight"].grad!);

        parameters.ZeroGradients();
        parameters["last.weight"].sum().backward();

        Assert.Equal(address, TensorMemory.Pointer(parameters["last.weight"].grad!));
        Assert.Equal(4, parameters.Gradients.sum().item<float>());
    }

    [Fact]
    public void Everything_outlives_the_scope_it_was_made_in()
    {
        FlatParameters parameters;
        using (NewDisposeScope()) parameters = new(Entries, CPU);

        using (parameters)
        using (NewDisposeScope())
        {
            Assert.Equal(0, parameters.Values.sum().item<float>());
            Assert.Equal(0, parameters["first.weight"].grad!.sum().item<float>());
        }
    }

    [Fact]
    public void Shards_of_all_ranks_tile_the_buffer()
    {
        using var parameters = new FlatParameters(Entries, CPU);
        var shards = Enumerable.Range(0, 5).Select(rank => parameters.Shard(rank, 5)).ToArray();

        Assert.Equal(0, shards[0].Offset);
        Assert.Equal(12, shards[^1].End);
        Assert.All(shards.Zip(shards.Skip(1)), pair => Assert.Equal(pair.First.End, pair.Second.Offset));
    }

    [Fact]
    public void Two_tensors_of_one_name_are_refused() =>
        Assert.Throws<ArgumentException>(() => new FlatParameters([Entries[0], Entries[0]], CPU));
}
