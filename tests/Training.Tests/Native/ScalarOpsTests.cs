using Phi3VCluster.Training.Native;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Tests.Native;

public sealed class ScalarOpsTests
{
    [Fact]
    public void Scaling_in_place_changes_the_tensor_and_leaves_it_usable()
    {
        using var x = ones(3);
        using var view = x.narrow(0, 1, 1);

        view.Scale(0.5);

        Assert.Equal([1f, 0.5f, 1f], x.data<float>().ToArray());
        Assert.Equal(0.5f, view.item<float>());
    }

    [Fact]
    public void A_garbage_collection_in_the_middle_of_an_addition_changes_nothing()
    {
        using var stop = new CancellationTokenSource();
        var collector = new Thread(() =>
        {
            while (!stop.IsCancellationRequested)
            {
                GC.Collect(0);
                GC.WaitForPendingFinalizers();
            }
        });
        collector.Start();
        try
        {
            // More threads than cores: one that is set aside in the middle of its call meets a collection.
            Parallel.For(0, 4 * Environment.ProcessorCount, new() { MaxDegreeOfParallelism = 4 * Environment.ProcessorCount }, _ =>
            {
                set_num_threads(1);
                using var two = full(1, 2f);
                for (var i = 0; i < 40_000; i++)
                {
                    using var sum = two.Plus(two);
                    if (sum.item<float>() != 4f) throw new InvalidOperationException($"2 + 2 = {sum.item<float>()}");
                }
            });
        }
        finally
        {
            stop.Cancel();
            collector.Join();
        }
    }
}
